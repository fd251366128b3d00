"""Rows of the inventory, made in bulk: hostile keys, many buckets, unknown bytes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from time import perf_counter
from typing import Any

from django.db import connection

from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.inventory import upload_identity

log = logging.getLogger(__name__)

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
    _rare(rare, count).save()
    add_up()
    return [*places, rare]


def _rare(bucket: InventoryBucket, number: int) -> InventoryUpload:
    """An upload with values that no other has."""
    row = row_of(bucket, number, key="rare/key", upload_id="upload~rare-one", initiator="rare", storage_class="RARE")
    row.verdict, row.bytes, row.parts = Verdict.SUPERSEDED.value, 2**45, 9_999
    row.started_at = row.active_at = NOW - timedelta(days=4000)
    return row


BASE = 20_000
"""Uploads of a large inventory that are made one by one. The others are copies with other names and buckets."""


def fill_skewed(count: int, buckets: int, stores: int = 5) -> None:
    """So many uploads in so many buckets of a few stores, with their sums; store-1/bucket-3 has three tenths of them.

    The others are skewed: some buckets have many, most have few. A twentieth of the keys is deep.
    """
    found = [store_of(f"store-{number}") for number in range(stores)]
    places = InventoryBucket.objects.bulk_create(
        InventoryBucket(store=found[number % stores], name=f"bucket-{number // stores}") for number in range(buckets)
    )
    largest = places[3 * stores + 1]
    made = min(count, BASE)

    def row(number: int) -> InventoryUpload:
        share = number * 2_654_435_761 % 2**32 / 2**32
        place = largest if number % 10 < 3 else places[int(buckets * share**3)]
        deep = {"key": f"deep/{'/'.join(str(number % each) for each in range(2, 14))}/{number}"}
        return row_of(place, number, **(deep if number % 20 == 19 else {}))

    write(row(number) for number in range(made))
    copies = -(-count // made) - 1
    if copies:
        with _without_indexes(), _logged(f"{copies} times {made} rows without indexes"):
            for copy in range(2, copies + 1):
                _copy(copy, largest.pk, places[0].pk, buckets)
        with _logged(f"{made} rows with indexes"):
            _copy(1, largest.pk, places[0].pk, buckets)
    rare = InventoryBucket.objects.create(store=store_of("rare"), name="rare")
    _rare(rare, count).save()
    add_up()


@contextmanager
def _logged(what: str) -> Iterator[None]:
    started = perf_counter()
    yield
    log.info("%.1f s for %s", perf_counter() - started, what)


@contextmanager
def _without_indexes() -> Iterator[None]:
    """Build the indexes after the rows were written, except those of what is unique."""
    indexes = InventoryUpload._meta.indexes
    trigrams = import_module("uploads.migrations.0055_trigrams")
    with connection.schema_editor(atomic=False) as editor:
        trigrams.remove(None, editor)
        for index in indexes:
            editor.remove_index(InventoryUpload, index)
    yield
    with _logged(f"{len(indexes)} indexes"), connection.schema_editor(atomic=False) as editor:
        for index in indexes:
            editor.add_index(InventoryUpload, index)
    with _logged("indexes of trigrams"), connection.schema_editor(atomic=False) as editor:
        trigrams.add(None, editor)


def _copy(copy: int, largest: int, first: int, buckets: int) -> None:
    """Copy the uploads that were made one by one, with other names, in other buckets."""
    fields = [str(field.column) for field in InventoryUpload._meta.concrete_fields if field.column != "id"]
    changed = {
        "identity": f"'{copy:06x}' || substr(u.identity, 7)",
        "key": f"u.key || '~{copy}'",
        "upload_id": f"u.upload_id || '{copy:04x}'",
        "bytes": f"u.bytes + {copy * 37}",
        "bucket_id": "b.id",
        "store_id": "b.store_id",
    }
    values = ", ".join(changed.get(name, f"u.{name}") for name in fields)
    place = (
        f"CASE WHEN u.bucket_id = {largest} THEN {largest} ELSE {first} + (u.bucket_id + {copy * 7}) % {buckets} END"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO uploads_inventoryupload ({', '.join(fields)}) SELECT {values}"
            f" FROM uploads_inventoryupload u JOIN uploads_inventorybucket b ON b.id = {place}"
            f" WHERE u.id < (SELECT MIN(id) FROM uploads_inventoryupload) + {BASE}"
        )


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
