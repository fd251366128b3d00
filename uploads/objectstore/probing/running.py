"""Runs a probe from its first check to its last. A check that fails only stops the checks that need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing import completion, digests, keys, lifecycle, listing, paging, parts, permissions, reach
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import finding_of, is_fault
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.requester import BudgetExhausted, Requester
from uploads.objectstore.probing.results import CheckResult, Finding, Group, Verdict, not_tried
from uploads.objectstore.providers import get_provider
from uploads.problems import Problem

CHECKS: tuple[Check, ...] = (
    *reach.CHECKS,
    *permissions.CHECKS,
    *lifecycle.CHECKS,
    *listing.CHECKS,
    *paging.CHECKS,
    listing.ENDED,
    keys.ENCODING,
    paging.ALL_PAGES,
    *parts.CHECKS,
    *digests.CHECKS,
    *completion.CHECKS,
    *keys.CHECKS,
)
"""In the order in which they run: a check comes after the checks it needs."""

Progress = Callable[[Sequence[CheckResult], str], None]
"""Called before each check with the results so far and the name of that check."""


def probe_store(requester: Requester, progress: Progress) -> tuple[CheckResult, ...]:
    """Run every check. What the checks created may still exist afterwards: `created.clean` removes it."""
    probe = Probe(requester, get_provider(requester.config.provider))
    results: list[CheckResult] = []
    for check in CHECKS:
        progress(results, check.name)
        finding = _run(check, probe)
        probe.verdicts[check.name] = finding.verdict
        probe.flags.update([finding.flag] if finding.flag else [])
        results.append(_result(check, finding))
    return tuple(results)


def _run(check: Check, probe: Probe) -> Finding:
    for need in check.needs:
        if not probe.worked(need):
            return not_tried(Problem(FindingCode.NEEDS_CHECK, check=need))
    try:
        return check.run(probe)
    except (NotTried, BudgetExhausted) as reason:
        return not_tried(reason.problem)
    except ObjectStoreError as error:
        # Only the checks of the connection itself fail because of a fault.
        unknown = is_fault(error) and check.group is not Group.REACH
        return finding_of(error, verdict=Verdict.UNKNOWN if unknown else Verdict.FAILED)


def _result(check: Check, finding: Finding) -> CheckResult:
    return CheckResult(
        name=check.name,
        group=check.group,
        verdict=finding.verdict,
        observed=finding.observed,
        details=finding.details,
        flag=finding.flag,
        code=finding.code,
        request_id=finding.request_id,
        store_message=finding.store_message,
    )
