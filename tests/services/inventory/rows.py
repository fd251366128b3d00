"""Rows of the inventory, made in bulk: hostile keys, many buckets, unknown bytes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.inventory import upload_identity

NOW = datetime(2026, 11, 1, tzinfo=UTC)

VERDICTS = (Verdict.DEAD, Verdict.DEAD, Verdict.STALLED, Verdict.ALIVE, Verdict.COMPLETABLE, Verdict.UNCHECKED)
FOLDERS = ("logs/2026/", "", "/", "//x/", "100%_/", "é/\n/", "backup/a+b/?#/")


def store_of(name: str) -> Store:
    return Store.objects.create(name=name, endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


def row_of(bucket: InventoryBucket, number: int, **values: Any) -> InventoryUpload:
    """An upload whose facts follow from its number."""
    verdict = VERDICTS[number % len(VERDICTS)]
    is_known = verdict != Verdict.UNCHECKED
    started = NOW - timedelta(minutes=number % 500_000)
    facts: dict[str, Any] = {
        "store_id": bucket.store_id,
        "bucket_id": bucket.pk,
        "key": f"{FOLDERS[number % len(FOLDERS)]}d{number % 37}/file-{number}",
        "upload_id": f"upload~{number:08x}",
        "initiated": started,
        "initiator": f"user-{number % 13}",
        "storage_class": "STANDARD" if number % 4 else "STANDARD_IA",
        "parts": number % 9 if is_known else None,
        "bytes": number % 9 * (5_000_000 + number) if is_known else None,
        "started_at": started,
        "active_at": started + timedelta(minutes=number % 1000),
        "first_seen_at": NOW,
        "last_seen_at": NOW,
        "checked_at": NOW if is_known else None,
        "verdict": verdict.value,
        **values,
    }
    facts["identity"] = upload_identity(bucket.pk, facts["key"], facts["upload_id"])
    return InventoryUpload(**facts)


def fill(count: int, stores: int = 4, buckets: int = 10) -> list[InventoryBucket]:
    """So many uploads, the last of which has rare values, with their sums."""
    places = [
        InventoryBucket.objects.create(store=store, name=f"bucket-{number}")
        for store in [store_of(f"store-{number}") for number in range(stores)]
        for number in range(buckets)
    ]
    rare = InventoryBucket.objects.create(store=store_of("rare"), name="rare")
    write(row_of(places[number % len(places)], number) for number in range(count - 1))
    row = row_of(rare, count, key="rare/key", upload_id="upload~rare-one", initiator="rare", storage_class="RARE")
    row.verdict, row.bytes, row.parts = Verdict.SUPERSEDED.value, 2**45, 9_999
    row.started_at = row.active_at = NOW - timedelta(days=4000)
    row.save()
    add_up()
    return [*places, rare]


def write(rows: Iterable[InventoryUpload], batch: int = 5000) -> None:
    waiting: list[InventoryUpload] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == batch:
            InventoryUpload.objects.bulk_create(waiting)
            waiting = []
    InventoryUpload.objects.bulk_create(waiting)


def add_up() -> None:
    """Write the sums of all buckets."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM uploads_inventorysum")
        cursor.execute(
            "INSERT INTO uploads_inventorysum (bucket_id, verdict, storage_class, uploads, empty, checked, bytes)"
            " SELECT bucket_id, verdict, storage_class, COUNT(*), COUNT(CASE WHEN parts = 0 THEN 1 END), COUNT(bytes),"
            " COALESCE(SUM(bytes), 0) FROM uploads_inventoryupload WHERE ended_at IS NULL"
            " GROUP BY bucket_id, verdict, storage_class"
        )
