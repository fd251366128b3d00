"""A worker that dies in the middle of a run, at each crash point: the run ends as if it had not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.services.drive import Drive
from tests.services.sweeps.make import read_row, work_off
from tests.system.test_crash_points import SWEEPING
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.states import ItemState, SweepItemState, SweepState
from uploads.models import OperationItem, SweepItem
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, UploadRef
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.plan import request_sweep
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.sweeps.steps import approve_sweep, run_sweep
from uploads.services.upkeep.watchdog import watch


class Killed(BaseException):
    """The process ends here: nothing that follows is done, not even what handles exceptions."""


@pytest.mark.parametrize("point", [*SWEEPING, "item.taken", "item.aborted"])
def test_the_run_ends_after_its_worker_died(
    point: str,
    drive: Drive,
    client: ObjectStoreClient,
    user: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("plan", "run"):
        monkeypatch.setattr(f"uploads.services.sweeps.{module}.judge_rows", lambda *_: None)
    (tmp_path / "source").write_bytes(bytes(100))
    ref = UploadRef("k", client.create_multipart_upload(drive.bucket, "k"))
    client.upload_part(drive.bucket, "k", ref.upload_id, 1, FileSlice(tmp_path / "source", 0, 100))
    read_row(drive.store, drive.bucket, ref)
    sweep = request_sweep(user, InventoryFilter(verdicts=("dead",)))
    drive_sweep(sweep.pk)
    sweep.refresh_from_db()
    approve_sweep(user, sweep, sweep.digest)
    sweep.refresh_from_db()
    run_sweep(user, sweep)
    item = sweep.items.get()
    with monkeypatch.context() as patched:
        patched.setattr("uploads.crash.point", lambda name: _kill_at(point, name))
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
    assert sweep.freed_bytes == 100
    assert OperationItem.objects.get().state == ItemState.DONE


def _kill_at(point: str, name: str) -> None:
    if point == name:
        raise Killed
