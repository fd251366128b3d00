"""Judging rows of the inventory, when their facts change, and when time passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads.domain.verdicts import SILENT, Judgement, Thresholds, UploadFacts, judge
from uploads.models import InventoryBucket, InventorySettings, InventoryUpload, Store
from uploads.services.browse.browsing import provider_of
from uploads.services.browse.ownership import owned_in_store
from uploads.services.ended.marks import mark_all_changed, mark_those_changed

OWNED_AGAIN = timedelta(minutes=10)
"""When an upload is judged again that a transfer owns: the transfer may have ended by then."""

OBJECT_REST = timedelta(days=7)
"""The time between two lookups of an object."""

UNKNOWN_REST = timedelta(days=1)
"""The time until an object is looked up again that could not be."""

JUDGED = ("verdict", "verdict_until", "object_due_at")
"""The columns that a judgement sets."""

CHUNK = 500
"""Rows of one statement."""


def thresholds_of(store: Store) -> Thresholds:
    """With one query. Those of the settings, or the defaults."""
    row = InventorySettings.objects.filter(store=store).first() or InventorySettings(store=store)
    return Thresholds(timedelta(hours=row.alive_hours), timedelta(days=row.dead_days))


def facts_of(row: InventoryUpload, *, min_part_size: int, is_owned: bool = False) -> UploadFacts:
    """What the row says of its upload. `min_part_size` is the store's, in bytes."""
    return UploadFacts(
        initiated=row.initiated,
        first_seen_at=row.first_seen_at,
        parts=row.parts,
        last_part_at=row.last_part_at,
        gaps=row.gaps,
        has_small_parts=_has_small_parts(row, min_part_size),
        object_modified_at=row.object_modified_at,
        is_owned=is_owned,
        is_refused=bool(row.check_error),
        checked_at=row.checked_at,
        behind=timedelta(seconds=row.behind_seconds),
        changed_after=row.changed_after,
    )


def _has_small_parts(row: InventoryUpload, min_part_size: int) -> bool | None:
    if row.parts == 1 and row.bytes is not None:
        return False
    return None if row.smallest_inner_bytes is None else row.smallest_inner_bytes < min_part_size


def judgements_of(store: Store, rows: Sequence[InventoryUpload], now: datetime) -> list[Judgement]:
    """The judgement of each row of the store, with its reason: two queries, however many rows there are."""
    thresholds, limit = thresholds_of(store), provider_of(store).min_part_size
    owned = owned_in_store(store, [row.upload_id for row in rows])
    names = InventoryBucket.objects.in_bulk({row.bucket_id for row in rows}) if owned else {}
    return [
        judge(
            facts_of(
                row,
                min_part_size=limit,
                is_owned=bool(owned) and (names[row.bucket_id].name, row.key, row.upload_id) in owned,
            ),
            thresholds,
            now,
        )
        for row in rows
    ]


def judge_rows(store: Store, rows: Sequence[InventoryUpload], now: datetime) -> None:
    """Set the verdict of each row, and when its object is to be looked up (`JUDGED`). Does not save it."""
    if not rows:
        return
    for row, judgement in zip(rows, judgements_of(store, rows, now), strict=True):
        is_owned = judgement.until is None and judgement.verdict == "alive"
        row.verdict = judgement.verdict.value
        row.verdict_until = now + OWNED_AGAIN if is_owned else judgement.until
        row.object_due_at = _object_due(row, judgement)


def _object_due(row: InventoryUpload, judgement: Judgement) -> datetime | None:
    """Only uploads with parts that are not alive can be superseded. The longest silent ones are looked up first."""
    if judgement.verdict not in SILENT or not row.parts or row.last_part_at is None:
        return None
    if row.object_seen_at is None:
        return row.active_at
    return row.object_seen_at + (UNKNOWN_REST if row.object_error else OBJECT_REST)


def rejudge_due(limit: int) -> int:
    """Judge uploads again whose verdicts time has changed, at most `limit`. Returns how many.

    A row that a scan is writing now is left to it: the scan judges what it writes.
    """
    now = timezone.now()
    due = InventoryUpload.objects.filter(ended_at__isnull=True, verdict_until__lte=now)
    few = list(due.order_by("verdict_until").values_list("pk", "bucket_id")[:limit])
    if not few:
        return 0
    with transaction.atomic():
        # The buckets first, as a scan may hold one while it waits for an upload.
        free = mark_all_changed({bucket for _, bucket in few}, now)
        ids = [pk for pk, bucket in few if bucket in free]
        rows = list(due.filter(pk__in=ids).order_by("store_id", "pk").select_for_update(skip_locked=True))
        stores = Store.objects.in_bulk({row.store_id for row in rows})
        for store_id, of_store in groupby(rows, key=lambda row: row.store_id):
            judge_rows(stores[store_id], list(of_store), now)
        InventoryUpload.objects.bulk_update(rows, JUDGED, CHUNK)
    return len(rows)


def judge_again(settings: InventorySettings) -> None:
    """After the thresholds of a store have changed: `apply_thresholds` judges all its uploads again, in batches."""
    InventorySettings.objects.filter(pk=settings.pk).update(judged_to=0)


def apply_thresholds(limit: int) -> int:
    """Look at the next uploads, at most `limit`, and judge those of a store whose thresholds have changed.

    Returns how many it looked at. The settings are locked first, so that they do not change meanwhile, then the
    buckets, as for every judgement.
    """
    with transaction.atomic():
        settings = unapplied().select_for_update().first()
        if settings is None:
            return 0
        store_id = settings.pk
        # By the primary key alone, whatever the share of the store is: no sorting, and nothing is read twice.
        after = InventoryUpload.objects.filter(pk__gt=settings.judged_to).order_by("pk")
        few = list(after.values_list("pk", "store_id", "bucket_id")[:limit])
        mark_those_changed({bucket for _, store, bucket in few if store == store_id})
        rows = list(InventoryUpload.objects.filter(pk__in=[pk for pk, store, _ in few if store == store_id]))
        rows = [row for row in rows if row.ended_at is None]
        judge_rows(Store.objects.get(pk=store_id), rows, timezone.now())
        InventoryUpload.objects.bulk_update(rows, JUDGED, CHUNK)
        judged_to = few[-1][0] if len(few) == limit else None
        InventorySettings.objects.filter(pk=settings.pk).update(judged_to=judged_to)
    return len(few)


def unapplied() -> QuerySet[InventorySettings]:
    """The settings with thresholds by which not all uploads are judged yet."""
    return InventorySettings.objects.filter(judged_to__isnull=False).order_by("pk")


def is_due() -> bool:
    """Whether time or thresholds have changed a verdict."""
    due = InventoryUpload.objects.filter(ended_at__isnull=True, verdict_until__lte=timezone.now())
    return unapplied().exists() or due.exists()
