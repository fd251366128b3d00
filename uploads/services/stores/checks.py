"""Checking stores: a check is ordered as a row, done by a task under a lease, and cleans up whatever became of it.

What a check makes in the bucket is written down before each act. Whoever takes up a check that died, or checks the same
bucket next, removes first what is written down there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from uploads import audit, crash, metrics
from uploads.domain.states import ACTIVE_ITEM_STATES, ITEM_STATES, ItemState
from uploads.models import Store, StoreCheck
from uploads.models.store_check import active_check, new_prefix
from uploads.objectstore.keys import check_bucket
from uploads.objectstore.probing.created import CreatedThings, Leftover
from uploads.objectstore.probing.requester import ProbeBudget, Requester
from uploads.objectstore.probing.results import CheckResult, Verdict, overrides_of
from uploads.objectstore.probing.running import CHECKS, probe_store
from uploads.objectstore.providers import get_provider
from uploads.problems import Code, Problem
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.kinds import Kind, due, register
from uploads.services.work.leases import Lease, LeaseLost
from uploads.services.work.queue import enqueue_on_commit, enqueue_rows
from uploads.services.work.tasks import task

log = logging.getLogger(__name__)

MAX_RUNS = 3
"""Times that a check is begun; one that died as often is only cleaned up after."""

BUDGET = ProbeBudget()

CLEANING_UP_EARLIER = "clean-up-earlier"
CLEANING_UP = "clean-up"
"""Steps of a check besides the names of its checks."""


# --- Ordering ---------------------------------------------------------------------------------------------------------


def request_check(actor: User | None, store: Store, bucket: str, *, here: bool = False) -> StoreCheck:
    """Have a store checked in a bucket by a task, or `here`: by the caller. While one is under way, that is the one.

    NotSent with BAD_ARGUMENT for what is no bucket name.
    """
    check_bucket(bucket)
    with transaction.atomic():
        # The lock keeps two of them from looking at the same moment: the second would run into the unique active key.
        Store.objects.select_for_update().get(pk=store.pk)
        key = active_check(store.pk, bucket)
        active = StoreCheck.objects.filter(active_key=key).first()
        if active is not None:
            return active
        check = StoreCheck.objects.create(
            store=store,
            bucket=bucket,
            actor=actor,
            active_key=key,
            queued_at=timezone.now(),
            total=len(CHECKS),
            provider=store.provider,
        )
        audit.record(actor, "check.ordered", store=store.name, bucket=bucket)
        if not here:
            enqueue_on_commit("run_store_check", [check.pk])
    return check


@transaction.atomic
def reset_found(actor: User | None, store: Store) -> dict[str, object]:
    """Have the provider's profile hold again. What overruled it until now."""
    locked = Store.objects.select_for_update().get(pk=store.pk)
    found: dict[str, object] = locked.overrides
    if found:
        _write_found(locked, {})
        audit.record(actor, "check.reset", store=store.name, detail={"forgot": sorted(found)})
    return found


def _write_found(store: Store, found: dict[str, object]) -> None:
    """Not by `save`: what a check finds is no edit of the store, and no other column is touched."""
    Store.objects.filter(pk=store.pk).update(overrides=found)


# --- Running ----------------------------------------------------------------------------------------------------------


class _Held:
    """A check under our lease. Every write renews the lease."""

    def __init__(self, lease: Lease[StoreCheck]) -> None:
        self.check = lease.row
        self._lease = lease

    def write(self, **changes: Any) -> None:
        """Raises LeaseLost."""
        self._lease.renew(**changes)

    def end(self, state: ItemState, changes: dict[str, Any], *, results: Sequence[CheckResult] = ()) -> None:
        """Write the end of the check, and with it what is to overrule the profile. Raises LeaseLost."""
        check = self.check
        with transaction.atomic():
            kept = _overrule(check, results)
            ended = {"active_key": None, "step": "", "finished_at": timezone.now(), "overrides": kept}
            if not self._lease.end(state, **ended, **changes):
                raise LeaseLost
            detail: dict[str, Any] = {"found": sorted(kept)} if kept else {}
            counted = _counts(changes.get("results", []))
            audit.record(
                check.actor,
                f"check.{state.value}",
                store=check.store.name,
                bucket=check.bucket,
                detail=counted | detail,
            )


def _give_up(lease: Lease[StoreCheck], error: dict[str, Any]) -> None:
    with suppress(LeaseLost):
        _Held(lease).end(ItemState.FAILED, error)


def _dispatch_all() -> None:
    with transaction.atomic():
        waiting = STORE_CHECKS.waiting_rows().filter(due(), queued_at__isnull=True)
        enqueue_rows("run_store_check", list(waiting.values_list("pk", flat=True)))


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
        dispatch_all=_dispatch_all,
    )
)


@task(STORE_CHECKS, StoreCheck.objects.all, retry=Retry.NEVER)
def run_store_check(lease: Lease[StoreCheck]) -> None:
    """Run a check that was requested, and write its results."""
    held = _Held(lease)
    try:
        _run(held)
    except KeyboardInterrupt:
        # In the foreground. What the check created has been removed by now.
        held.end(ItemState.FAILED, problem_fields(Problem(Code.INTERRUPTED)))
        raise


def _overrule(check: StoreCheck, results: Sequence[CheckResult]) -> dict[str, object]:
    """What overrules the store's profile from now on; as before where the store was changed under the check's hands."""
    store = Store.objects.select_for_update().get(pk=check.store_id)
    before: dict[str, object] = store.overrides
    if _identity(store) != _identity(check.store):
        return before
    found = overrides_of(results, get_provider(store.provider), before) if results else before
    _write_found(store, found)
    return found


def _identity(store: Store) -> tuple[str, ...]:
    return store.endpoint_url, store.region, store.provider, store.signature, store.addressing


def _counts(results: Sequence[dict[str, Any]]) -> dict[str, int]:
    verdicts = [result["verdict"] for result in results]
    return {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}


def _run(held: _Held) -> None:
    check = held.check
    held.write(step=CLEANING_UP_EARLIER)
    _clean_earlier(held)
    if check.tries > MAX_RUNS:
        held.end(ItemState.FAILED, problem_fields(Problem(Code.DIED, count=MAX_RUNS)))
        return
    check.refresh_from_db(fields=["created"])
    if _is_elsewhere(check):
        held.end(ItemState.FAILED, problem_fields(Problem(Code.ENDPOINT_CHANGED)))
        return
    # A new prefix for a new try: what was there may stay in listings for a while.
    check.prefix = new_prefix() if check.tries > 1 else check.prefix
    held.write(prefix=check.prefix, provider=check.store.provider, total=len(CHECKS), results=[], **NO_ERROR)
    created = _created_things(held)
    with _requester(held, created) as requester:
        try:
            results = probe_store(requester, lambda so_far, name: _progress(held, requester, so_far, name))
        finally:
            held.write(step=CLEANING_UP)
            left = requester.clean()
        ended = {
            "results": [result.as_json() for result in results],
            "requests": requester.counter.requests,
            "leftovers": _as_json(left),
        }
        held.end(ItemState.DONE, ended, results=results)


def _requester(held: _Held, created: CreatedThings) -> Requester:
    check = held.check
    return Requester(check.store.config(), check.bucket, created, budget=BUDGET, observer=metrics.StoreObserver())


def _progress(held: _Held, requester: Requester, so_far: Sequence[CheckResult], name: str) -> None:
    held.write(step=name, results=[result.as_json() for result in so_far], requests=requester.counter.requests)


def _created_things(held: _Held) -> CreatedThings:
    """What the check makes, from the first on written to its row; with it what is left of an earlier try."""
    created = CreatedThings(held.check.prefix)
    created.load(held.check.created)
    created.changed = partial(_write_down, held, created)
    return created


def _write_down(held: _Held, created: CreatedThings) -> None:
    held.write(created=_noted(held.check, created))
    crash.point("check.created")


def _noted(check: StoreCheck, created: CreatedThings) -> dict[str, Any]:
    """What was made, and at which endpoint; empty where nothing is there."""
    fields: dict[str, Any] = created.as_json()
    return fields | {"endpoint": check.store.endpoint_url} if fields else {}


def _is_elsewhere(check: StoreCheck) -> bool:
    """Whether what the check made is at another endpoint than its store has now."""
    return bool(check.created) and check.created.get("endpoint", check.store.endpoint_url) != check.store.endpoint_url


def _clean_earlier(held: _Held) -> None:
    """What this check, when it died, or earlier checks of the bucket have left there."""
    check = held.check
    # An earlier one that is active has another bucket's key, and is not among them.
    earlier = StoreCheck.objects.filter(store=check.store, bucket=check.bucket).exclude(created={})
    for each in earlier.filter(Q(pk=check.pk) | ~Q(state__in=ACTIVE_ITEM_STATES)).select_related("store"):
        created = CreatedThings(each.prefix)
        created.load(each.created)
        if _is_elsewhere(each):
            # Another store may be there: that it has no such upload would not mean that it is gone.
            left = created.as_leftovers(Problem(Code.LEFT_AT_OTHER_ENDPOINT, endpoint_url=each.created["endpoint"]))
            StoreCheck.objects.filter(pk=each.pk).update(leftovers=_as_json(left))
            continue
        created.changed = held.write
        with _requester(held, created) as requester:
            left = requester.clean()
        StoreCheck.objects.filter(pk=each.pk).update(created=_noted(each, created), leftovers=_as_json(left))


def _as_json(leftovers: Sequence[Leftover]) -> list[dict[str, Any]]:
    return [each.as_json() for each in leftovers]
