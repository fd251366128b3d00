"""A store that is disabled pauses the runs that have uploads left in it, and no others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.services.sweeps.conftest import DatedServer, Left
from tests.services.sweeps.make import DEAD, approved, bucket_row, planned, read_row, started, upload_row, work_off
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.states import SweepState
from uploads.models import AuditEntry, InventoryUpload, RepeatingSweep, Store, Sweep, SweepItem
from uploads.objectstore.types import UploadRef
from uploads.problems import Code
from uploads.services.stores.settings import set_enabled
from uploads.services.sweeps import looking, run
from uploads.services.sweeps.kinds import SWEEP_ITEMS
from uploads.services.sweeps.repeat import (
    Repetition,
    add_repeating,
    approve_repeating,
    plan_repeating,
    version_of,
    waits_because,
)
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.sweeps.steps import StepRefused, resume_sweep, run_sweep


def state_of(sweep: Sweep) -> tuple[str, str, dict[str, object]]:
    sweep.refresh_from_db()
    return sweep.state, sweep.error_code, sweep.error_params


def states(sweep: Sweep) -> list[str]:
    return list(sweep.items.order_by("number").values_list("state", flat=True))


PAUSED = (SweepState.PAUSED, Code.SWEEP_STORE_DISABLED.value, {"stores": ["oss"]})


def test_a_run_pauses_and_can_be_resumed_when_the_store_is_enabled(store: Store, left: Left, user: User) -> None:
    refs = [left.start(f"k{number}") for number in range(3)]
    for ref in refs:
        read_row(store, left.bucket, ref)
    sweep = started(user)
    first, second, _third = sweep.items.order_by("number")
    run_sweep_item(first.pk)
    set_enabled(None, store, enabled=False)
    run_sweep_item(second.pk)
    assert state_of(sweep) == PAUSED
    assert states(sweep) == ["done", "planned", "planned"], "nothing waits in the queue"
    assert [left.is_there(ref) for ref in refs] == [False, True, True]
    entry = AuditEntry.objects.get(action="sweep.paused")
    assert (entry.actor, entry.detail["reason"]["code"]) == (None, Code.SWEEP_STORE_DISABLED)
    with pytest.raises(StepRefused) as refused:
        resume_sweep(user, sweep)
    assert refused.value.problem.code == Code.SWEEP_STORE_DISABLED
    set_enabled(None, store, enabled=True)
    SWEEP_ITEMS.dispatch_due(10)
    assert state_of(sweep) == PAUSED, "somebody has to say that it goes on"
    resume_sweep(user, sweep)
    assert state_of(sweep) == (SweepState.RUNNING, "", {})
    assert work_off(sweep).state == SweepState.DONE
    assert not any(map(left.is_there, refs))


def test_the_watchdog_pauses_a_run_of_which_no_upload_is_at_work(store: Store, user: User) -> None:
    for number in range(3):
        upload_row(store, "b", UploadRef(f"k{number}", f"u{number}")).save()
    sweep = started(user)
    SweepItem.objects.update(queued_at=timezone.now())
    set_enabled(None, store, enabled=False)
    SWEEP_ITEMS.dispatch_due(10)
    assert state_of(sweep) == PAUSED
    assert states(sweep) == ["planned"] * 3


def test_a_store_that_is_disabled_after_the_look_keeps_the_upload(
    store: Store, left: Left, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = left.start()
    read_row(store, left.bucket, ref)
    sweep = started(user)

    def look_and_disable(item: SweepItem) -> None:
        looking.look_again(item)
        set_enabled(None, store, enabled=False)

    monkeypatch.setattr(run, "look_again", look_and_disable)
    run_sweep_item(sweep.items.get().pk)
    assert state_of(sweep) == PAUSED
    assert left.is_there(ref)
    assert states(sweep) == ["planned"]


def test_other_runs_go_on_and_finished_uploads_do_not_count(
    store: Store, left: Left, user: User, server: DatedServer
) -> None:
    """Also a run that has uploads of the disabled store, but none that is left."""
    ref = left.start()
    row = read_row(store, left.bucket, ref)
    other = Store.objects.get(pk=store.pk)
    other.pk, other.name = None, "other"
    other.save()
    bucket = bucket_row(other, left.bucket)
    stopped = started(user, InventoryFilter(store="oss", verdicts=("dead",)))
    set_enabled(None, store, enabled=False)
    SWEEP_ITEMS.dispatch_due(10)
    InventoryUpload.objects.filter(pk=row.pk).update(store=other, bucket=bucket)
    running = started(user, InventoryFilter(store="other", verdicts=("dead",)))
    assert work_off(running).state == SweepState.DONE
    assert state_of(stopped) == PAUSED
    assert not left.is_there(ref)
    set_enabled(None, store, enabled=True)
    resume_sweep(user, stopped)
    assert work_off(stopped).state == SweepState.DONE
    assert states(stopped) == ["spared"]


def test_a_paused_run_keeps_no_later_plan_of_its_rule_from_being_made(store: Store, left: Left, user: User) -> None:
    read_row(store, left.bucket, left.start())
    repeating = add_repeating(user, DEAD, Repetition(schedule="daily", max_uploads=9, max_bytes=10**9))
    first = started(user)
    Sweep.objects.filter(pk=first.pk).update(repeating=repeating)
    set_enabled(None, store, enabled=False)
    run_sweep_item(first.items.get().pk)
    assert state_of(first) == PAUSED
    RepeatingSweep.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    plan_repeating(10)
    assert Sweep.objects.filter(repeating=repeating).count() == 2


def test_no_run_begins_while_the_store_is_disabled(store: Store, user: User) -> None:
    upload_row(store, "b", UploadRef("k", "u")).save()
    sweep = approved(user)
    waiting = planned(user)
    repeating = add_repeating(user, DEAD, Repetition(schedule="daily", max_uploads=9, max_bytes=10**9))
    approve_repeating(user, repeating, seen=version_of(repeating))
    set_enabled(None, store, enabled=False)
    with pytest.raises(StepRefused) as refused:
        run_sweep(user, sweep)
    assert refused.value.problem.code == Code.SWEEP_STORE_DISABLED
    Sweep.objects.filter(pk=waiting.pk).update(repeating=repeating)
    problem = waits_because(Sweep.objects.select_related("repeating").get(pk=waiting.pk))
    assert problem is not None
    assert problem.code == Code.SWEEP_STORE_DISABLED
