"""A probe from its first check to its last: each asked for itself, whatever became of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing import completion, digests, keys, listing, parts, permissions, reach
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.probe import CannotTry, Check, Probe
from uploads.objectstore.probing.requester import BudgetExhausted, Requester
from uploads.objectstore.probing.results import CheckResult, Finding, not_tried
from uploads.objectstore.providers import get_provider

CHECKS: tuple[Check, ...] = (
    *reach.CHECKS,
    *permissions.CHECKS,
    *listing.CHECKS,
    keys.ENCODING,
    *parts.CHECKS,
    *digests.CHECKS,
    *completion.CHECKS,
    *keys.CHECKS,
)
"""In the order in which they are asked: what others need comes before them."""

_TITLES = {check.name: check.title for check in CHECKS}

Progress = Callable[[Sequence[CheckResult], str], None]
"""Told before each check what was found so far, and the title of what is asked next."""


def probe_store(requester: Requester, progress: Progress) -> tuple[CheckResult, ...]:
    """Ask every check. What a check made may still be there afterwards: `created.clean` removes it."""
    probe = Probe(requester, get_provider(requester.config.provider))
    results: list[CheckResult] = []
    for check in CHECKS:
        progress(results, check.title)
        finding = _ask(check, probe)
        probe.verdicts[check.name] = finding.verdict
        probe.flags.update([finding.flag] if finding.flag else [])
        results.append(_result(check, finding))
    return tuple(results)


def _ask(check: Check, probe: Probe) -> Finding:
    for need in check.needs:
        if not probe.worked(need):
            return not_tried(f"Not tried, for it needs “{_TITLES[need]}”, which did not work.")
    try:
        return check.run(probe)
    except (CannotTry, BudgetExhausted) as reason:
        return not_tried(f"Not tried, for {reason}.")
    except ObjectStoreError as error:
        return finding_of(error, check.advice)


def _result(check: Check, finding: Finding) -> CheckResult:
    return CheckResult(
        name=check.name,
        title=check.title,
        group=check.group,
        verdict=finding.verdict,
        said=finding.said,
        advice=finding.advice,
        flag=finding.flag,
        code=finding.code,
        request_id=finding.request_id,
    )
