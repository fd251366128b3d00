"""A worker that dies in the middle of a run, at each crash point: the run ends as if it had not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.killed import Killed, kill_at
from tests.services.sweeps.conftest import SIZE, Left
from tests.services.sweeps.make import read_row, started, work_off
from tests.system.test_crash_points import SWEEPING
from uploads.domain.states import ItemState, SweepItemState, SweepState
from uploads.models import OperationItem, Store, SweepItem
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.upkeep.watchdog import watch


@pytest.mark.parametrize("point", [*SWEEPING, "item.taken", "item.aborted"])
def test_the_run_ends_after_its_worker_died(
    point: str,
    store: Store,
    left: Left,
    user: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_row(store, left.bucket, left.start())
    sweep = started(user)
    item = sweep.items.get()
    with monkeypatch.context() as patched:
        patched.setattr("uploads.crash.point", kill_at(point))
        with pytest.raises(Killed):
            run_sweep_item(item.pk)
    item.refresh_from_db()
    assert item.state == SweepItemState.RUNNING
    old = timezone.now() - timedelta(seconds=1)
    SweepItem.objects.filter(lease_token__isnull=False).update(lease_until=old)
    OperationItem.objects.filter(lease_token__isnull=False).update(lease_until=old)
    watch()
    OperationItem.objects.update(not_before=None)
    sweep = work_off(sweep)
    item = sweep.items.get()
    assert (sweep.state, item.state, item.proof) == (SweepState.DONE, SweepItemState.DONE, "gone")
    assert sweep.freed_bytes == SIZE
    assert OperationItem.objects.get().state == ItemState.DONE
