"""Rows of the inventory as a scan leaves them, and the work of the workers for a sweep."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.states import SweepItemState, SweepState
from uploads.models import InventoryBucket, InventoryUpload, Store, Sweep, SweepItem
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import UploadRef
from uploads.services.inventory.judging import judge_rows
from uploads.services.inventory.reading import apply, read_facts
from uploads.services.stores.clients import client_for
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.plan import request_sweep
from uploads.services.sweeps.run import run_sweep_item
from uploads.services.sweeps.steps import approve_sweep, run_sweep

LONG_AGO = timedelta(days=30)
DEAD = InventoryFilter(verdicts=("dead",))


def bucket_row(store: Store, bucket: str) -> InventoryBucket:
    return InventoryBucket.objects.get_or_create(store=store, name=bucket)[0]


def upload_row(store: Store, bucket: str, ref: UploadRef, idle: timedelta = LONG_AGO, **more: Any) -> InventoryUpload:
    """A row of an upload whose last part arrived so long ago, and whose parts were read now. It is not saved."""
    at: datetime = timezone.now() - idle
    found = bucket_row(store, bucket)
    values: dict[str, Any] = {
        "initiated": at,
        "first_seen_at": at,
        "last_seen_at": timezone.now(),
        "started_at": at,
        "active_at": at,
        "checked_at": timezone.now(),
        "parts": 0,
        "bytes": 0,
        "gaps": 1,
        **more,
    }
    if values["parts"]:
        values["last_part_at"] = at
    identity = upload_identity(found.pk, ref.key, ref.upload_id)
    names = {"identity": identity, "key": ref.key, "upload_id": ref.upload_id}
    row = InventoryUpload(store=store, bucket=found, **names, **values)
    judge_rows(store, [row], timezone.now())
    return row


def read_row(store: Store, bucket: str, ref: UploadRef, **more: Any) -> InventoryUpload:
    """A row with what the store says of the upload now, as a scan reads it."""
    page = client_for(store).list_multipart_uploads(bucket, prefix=ref.key)
    (listed,) = [each for each in page.uploads if each.upload_id == ref.upload_id]
    read: dict[str, Any] = {"initiated": listed.initiated, "started_at": listed.initiated, "checked_at": None}
    row = upload_row(store, bucket, ref, **read, **more)
    apply(row, read_facts(store, bucket, ref), timezone.now())
    judge_rows(store, [row], timezone.now())
    row.save()
    return row


def planned(user: User, rule: InventoryFilter = DEAD) -> Sweep:
    sweep = request_sweep(user, rule)
    while sweep.state == SweepState.PLANNING:
        drive_sweep(sweep.pk)
        sweep.refresh_from_db()
    return sweep


def approved(user: User, rule: InventoryFilter = DEAD) -> Sweep:
    sweep = planned(user, rule)
    approve_sweep(user, sweep, sweep.digest)
    sweep.refresh_from_db()
    return sweep


def started(user: User, rule: InventoryFilter = DEAD) -> Sweep:
    sweep = approved(user, rule)
    run_sweep(user, sweep)
    sweep.refresh_from_db()
    return sweep


def work_off(sweep: Sweep, rounds: int = 50) -> Sweep:
    """Run the tasks of the sweep until nothing is left to do. Pauses after failed attempts are skipped."""
    for _ in range(rounds):
        Sweep.objects.filter(pk=sweep.pk).update(not_before=None)
        drive_sweep(sweep.pk)
        SweepItem.objects.filter(sweep=sweep).update(not_before=None)
        waiting = SweepItem.objects.filter(sweep=sweep, state=SweepItemState.ORDERED).select_related("operation_item")
        for item in list(waiting.order_by("number")):
            if item.operation_item is not None:
                type(item.operation_item).objects.filter(pk=item.operation_item.pk).update(not_before=None)
            run_sweep_item(item.pk)
        sweep.refresh_from_db()
        if sweep.finished_at is not None:
            break
    return sweep
