"""Rows of the inventory as a scan leaves them, and the work of the workers for a sweep."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from uploads.domain.states import SweepItemState
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventoryUpload, Store, Sweep, SweepItem
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import UploadRef
from uploads.services.inventory.reading import apply, read_facts
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.run import run_sweep_item

LONG_AGO = timedelta(days=30)


def bucket_row(store: Store, bucket: str) -> InventoryBucket:
    return InventoryBucket.objects.get_or_create(store=store, name=bucket)[0]


def upload_row(store: Store, bucket: str, ref: UploadRef, verdict: Verdict = Verdict.DEAD, **more: Any) -> Any:
    """A row that was last seen, and judged, as one that was started long ago."""
    started: datetime = timezone.now() - LONG_AGO
    found = bucket_row(store, bucket)
    values: dict[str, Any] = {
        "initiated": started,
        "first_seen_at": started,
        "last_seen_at": timezone.now(),
        "started_at": started,
        "active_at": started,
        "checked_at": timezone.now(),
        "parts": 0,
        "bytes": 0,
        "verdict": verdict.value,
    }
    identity = upload_identity(found.pk, ref.key, ref.upload_id)
    return InventoryUpload(
        store=store,
        bucket=found,
        identity=identity,
        key=ref.key,
        upload_id=ref.upload_id,
        **(values | more),
    )


def read_row(store: Store, bucket: str, ref: UploadRef, verdict: Verdict = Verdict.DEAD) -> InventoryUpload:
    """A row with what the store says about the parts now."""
    row: InventoryUpload = upload_row(store, bucket, ref, verdict)
    facts = read_facts(store, bucket, ref)
    apply(row, facts, timezone.now())
    row.save()
    return row


def work_off(sweep: Sweep, rounds: int = 50) -> Sweep:
    """Run the tasks of the sweep until nothing is left to do. Pauses after failed attempts are skipped."""
    for _ in range(rounds):
        drive_sweep(sweep.pk)
        SweepItem.objects.filter(sweep=sweep).update(not_before=None)
        waiting = SweepItem.objects.filter(sweep=sweep, state=SweepItemState.ORDERED)
        for pk in list(waiting.values_list("pk", flat=True)):
            run_sweep_item(pk)
        sweep.refresh_from_db()
        if sweep.finished_at is not None:
            break
    return sweep
