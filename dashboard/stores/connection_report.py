"""What came of trying a store's settings, in words: each step, what a failure means, and which field mends it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dashboard.shared.explain import Explanation, explain
from dashboard.shared.formatting import duration_text
from uploads.objectstore.endpoints import endpoint_of
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.connection_test import MAX_BUCKETS, Step, Trial

WORTH_SAYING = timedelta(minutes=1)
"""Stores bear 15 minutes; a clock that is off by one will be there in time."""

FIXES = {
    Reason.ADDRESSING: "Set Addressing to virtual-hosted.",
    Reason.TLS: "If the certificate is of an authority of your own, name its PEM file in CA bundle.",
}

NOT_THERE = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
"""Codes of an operation that an endpoint does not have."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step. `found` is what worked, else `explained` and perhaps `fix`: what to enter where."""

    title: str
    operation: str
    bucket: str
    found: str = ""
    explained: Explanation | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class TrialReport:
    """`verdict` is good, partly or bad."""

    verdict: str
    title: str
    text: str
    steps: list[StepReport]
    clock: str
    untried: tuple[str, ...]


def report_of(trial: Trial) -> TrialReport:
    verdict, title, text = _verdict(trial)
    return TrialReport(
        verdict=verdict,
        title=title,
        text=text,
        steps=[_step(step, trial) for step in trial.steps],
        clock=_clock(trial.clock_offset),
        untried=trial.untried,
    )


def _verdict(trial: Trial) -> tuple[str, str, str]:
    if not trial.failures:
        if trial.lists_uploads:
            return "good", "The store works with these values", ""
        text = "It lists no bucket, so listing uploads could not be tried. Name a bucket to try it there."
        return "partly", "The store answers", text
    if trial.lists_uploads:
        return "partly", "The store works, but not all of it", ""
    return "bad", "The store does not work with these values", ""


def _step(step: Step, trial: Trial) -> StepReport:
    title = "Listing uploads in progress" if step.bucket else "Listing buckets"
    if step.error is None:
        return StepReport(title, step.operation, step.bucket, found=_found(step, trial))
    explained = explain(step.error)
    return StepReport(title, step.operation, step.bucket, explained=explained, fix=_fix(step, step.error, trial))


def _found(step: Step, trial: Trial) -> str:
    if step.bucket:
        return "there are uploads in progress" if step.count else "no upload in progress"
    buckets = f"{step.count:,} bucket{'' if step.count == 1 else 's'}"
    asked = sum(bool(each.bucket) for each in trial.steps)
    return f"{buckets}; asked of the first {asked} below" if step.count > asked == MAX_BUCKETS else buckets


def _fix(step: Step, error: ObjectStoreError, trial: Trial) -> str:
    """What to enter where, as far as that is known; '' where the general advice says all."""
    if error.reason is Reason.WRONG_REGION and isinstance(error, Refused) and error.region:
        return _set_region(error.region, trial)
    if error.reason in FIXES:
        return FIXES[error.reason]
    if step.bucket:
        return _fix_of_bucket(error, trial)
    if error.reason is Reason.PERMISSION:
        return "Name the buckets here: they can be used without this permission."
    return ""


def _fix_of_bucket(error: ObjectStoreError, trial: Trial) -> str:
    if error.reason is Reason.UNREACHABLE and trial.addressing == "virtual":
        return "The endpoint itself answers, the bucket's own host name does not: set Addressing to path."
    provider = PROVIDERS[trial.provider]
    if (isinstance(error, Refused) and error.code in NOT_THERE) or not provider.lists_uploads:
        other = PROVIDERS.get(provider.listed_by)
        way = f"To list them choose the provider {other.label}. " if other else ""
        return f"{way}Uploads can be opened by key and upload id without a list, and files be sent."
    return ""


def _set_region(region: str, trial: Trial) -> str:
    provider = PROVIDERS[trial.provider]
    endpoint = endpoint_of(provider, region)
    is_made = trial.endpoint_url == endpoint_of(provider, trial.region)
    if is_made and endpoint and endpoint != trial.endpoint_url:
        return f"Set Region to {region}, and Endpoint URL to {endpoint}."
    return f"Set Region to {region}."


def _clock(offset: timedelta) -> str:
    if abs(offset) < WORTH_SAYING:
        return ""
    where = "ahead of" if offset > timedelta() else "behind"
    return (
        f"The store's clock is {duration_text(abs(offset).total_seconds())} {where} this machine's. "
        "Beyond 15 minutes stores refuse every request: set the clock that is wrong (NTP)."
    )
