"""Running a store check under a lease."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from uploads import access, audit, crash
from uploads.domain.roles import Action
from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import StoreCheck
from uploads.models.store_check import new_prefix
from uploads.objectstore.probing.created import CreatedThings
from uploads.objectstore.probing.requester import ProbeBudget, Requester
from uploads.objectstore.probing.results import CheckResult, Verdict
from uploads.objectstore.probing.running import CHECKS, probe_store
from uploads.problems import Code, Problem
from uploads.services.stores.checks import leftovers
from uploads.services.stores.checks.overrides import override
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease, LeaseLost
from uploads.services.work.queue import enqueue_on_commit, enqueue_waiting
from uploads.services.work.tasks import task

MAX_RUNS = 3
"""How often a check is started. If its process died each time, the next run only cleans up."""

BUDGET = ProbeBudget()

CLEANING_UP_EARLIER = "clean-up-earlier"
CLEANING_UP = "clean-up"
"""Steps of a check besides the names of its checks."""


class RunningCheck:
    """A check under our lease. Every write renews the lease, and raises LeaseLost if it is lost."""

    def __init__(self, lease: Lease[StoreCheck]) -> None:
        self.check = lease.row
        self._lease = lease

    def write(self, **changes: Any) -> None:
        self._lease.renew(**changes)

    def fail(self, error: dict[str, Any]) -> None:
        self._end(ItemState.FAILED, (), error)

    def finish(self, results: Sequence[CheckResult], **changes: Any) -> None:
        fields = {"results": [result.as_json() for result in results], **changes}
        self._end(ItemState.DONE, results, fields)

    def _end(self, state: ItemState, results: Sequence[CheckResult], changes: dict[str, Any]) -> None:
        """End the check, and override the store's profile by its results."""
        check = self.check
        with transaction.atomic():
            overrides = override(check, results)
            ended = {"active_key": None, "step": "", "finished_at": timezone.now(), "overrides": overrides}
            if not self._lease.end(state, **ended, **changes):
                raise LeaseLost
            found: dict[str, Any] = {"found": sorted(overrides)} if overrides else {}
            audit.record(
                check.actor,
                f"check.{state.value}",
                store=check.store.name,
                bucket=check.bucket,
                detail=_counts(results) | found,
            )


def _counts(results: Sequence[CheckResult]) -> dict[str, int]:
    verdicts = [result.verdict for result in results]
    return {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}


def _give_up(lease: Lease[StoreCheck], error: dict[str, Any]) -> None:
    with suppress(LeaseLost):
        RunningCheck(lease).fail(error)


def _dispatch_due(limit: int) -> int:
    return enqueue_waiting("run_store_check", limit)


STORE_CHECKS = register(
    Kind(
        name="check",
        model=StoreCheck,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        on_take={"tries": F("tries") + 1},
        related=("store", "actor"),
        facts=lambda check: {"order": check.pk, "bucket": check.bucket},
        resume=lambda check, seconds: enqueue_on_commit("run_store_check", [check.pk], countdown=seconds),
        give_up=_give_up,
        # It counts its starts itself, and ends after some of them.
        worker_lost=lambda lease: lease.release(),
        dispatch_due=_dispatch_due,
    )
)


def refusal_of(check: StoreCheck) -> Problem | None:
    """Why the check is not run: its actor may not check the store any more. One that has started still cleans up."""
    return None if check.tries > 1 else access.no_longer_allowed(check.actor, Action.CHECK_STORES, check.store)


@task(STORE_CHECKS, StoreCheck.objects.all, retry=Retry.NEVER, refusal=refusal_of)
def run_store_check(lease: Lease[StoreCheck]) -> None:
    """Run a check that was requested, and write its results."""
    running = RunningCheck(lease)
    try:
        _run(running)
    except KeyboardInterrupt:
        # In the foreground. What the check created has been removed by now.
        running.fail(problem_fields(Problem(Code.INTERRUPTED)))
        raise


def _run(running: RunningCheck) -> None:
    check = running.check
    running.write(step=CLEANING_UP_EARLIER)
    leftovers.clean_up_earlier(check, running.write, BUDGET)
    if check.tries > MAX_RUNS:
        running.fail(problem_fields(Problem(Code.DIED, count=MAX_RUNS)))
        return
    check.refresh_from_db(fields=["created"])
    if leftovers.is_at_other_endpoint(check):
        running.fail(problem_fields(Problem(Code.ENDPOINT_CHANGED)))
        return
    # Another attempt uses a new prefix: uploads of the last one may stay in listings for a while.
    check.prefix = new_prefix() if check.tries > 1 else check.prefix
    running.write(prefix=check.prefix, provider=check.store.provider, total=len(CHECKS), results=[], **NO_ERROR)
    _probe(running)


def _probe(running: RunningCheck) -> None:
    check = running.check
    created = _recorded(running)
    with leftovers.requester_for(check, created, BUDGET) as requester:
        try:
            results = probe_store(requester, partial(_progress, running, requester))
        finally:
            running.write(step=CLEANING_UP)
            left = requester.clean()
        running.finish(results, requests=requester.counter.requests, leftovers=leftovers.as_json(left))


def _progress(running: RunningCheck, requester: Requester, results: Sequence[CheckResult], name: str) -> None:
    fields = [result.as_json() for result in results]
    running.write(step=name, results=fields, requests=requester.counter.requests)


def _recorded(running: RunningCheck) -> CreatedThings:
    """What the check creates, written to its row at once, together with what an earlier attempt has left."""
    created = leftovers.created_by(running.check, running.check.prefix)
    created.changed = partial(_record, running, created)
    return created


def _record(running: RunningCheck, created: CreatedThings) -> None:
    running.write(created=leftovers.as_row(running.check, created))
    crash.point("check.created")
