"""Which uploads a scan reads next: each once, in the order of importance, exactly those below a hostile prefix."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.services.inventory.plans import plan_of
from tests.services.inventory.rows import row_of, store_of, write
from uploads.domain.states import ItemState
from uploads.models import BucketScan, InventoryBucket, InventoryUpload, PartsBatch, Scan
from uploads.services.inventory.scans import listing, steps

pytestmark = pytest.mark.django_db

KEYS = (
    *("a", "A", "a/", "A/", "a%", "a_", "a\\", "ab", "a%/x", "a_/x", "a\\/x", "aX/x", "a/\U0010ffff", "a/é"),
    *("é", "É", "e", "e\u0301", "z", "Z", "ß", "ss", "İ", "ı", "-a", " a", "a ", "日本", "\U0010ffff"),
    *("\n", "'", '"', "_", "%", "\\"),
)
PREFIXES = ("", "a", "A", "a%", "a_", "a\\", "a/", "é", "a/\U0010ffff", "\U0010ffff", "%", "_", "\\", "I", "nowhere")


@pytest.fixture
def bucket() -> InventoryBucket:
    """Uploads with every hostile key, many with the same one, that were checked at various times or never."""
    bucket = InventoryBucket.objects.create(store=store_of("s"), name="b")
    other = InventoryBucket.objects.create(store=bucket.store, name="other")
    chance, now = random.Random(7), timezone.now()
    rows = []
    for number in range(6 * len(KEYS)):
        hours = chance.choice((None, -50, -20, -20, -1, 1, 30))
        rows.append(
            row_of(
                other if number % 11 == 0 else bucket,
                number,
                key=KEYS[number % len(KEYS)],
                check_due_at=None if hours is None else now + timedelta(hours=hours),
                checked_at=None if hours is None else now - timedelta(hours=60),
                check_error="AccessDenied" if number % 5 == 0 and hours == -1 else "",
                ended_at=now if number % 17 == 0 else None,
            )
        )
    chance.shuffle(rows)
    write(rows)
    return bucket


def new_scan(bucket: InventoryBucket, prefix: str, *, of_places: bool) -> BucketScan:
    places = [[bucket.name, prefix]] if of_places else []
    scan = Scan.objects.create(store=bucket.store, origin="command", places=places, state=ItemState.DONE)
    return BucketScan.objects.create(
        scan=scan, bucket=bucket, prefix=prefix, state=ItemState.DONE, checks=BucketScan.NEW, started_at=scan.created_at
    )


def read_order(row: BucketScan, refused: bool) -> Iterator[int]:
    """The ids in the order of the batches, each of which is read before the one after the next."""
    earlier = list[PartsBatch]()
    while True:
        row.refresh_from_db()
        if row.checks == BucketScan.NONE:
            break
        batch = steps._next_batch(row.scan, row)
        if batch is None:
            continue
        yield from batch.uploads
        earlier.append(batch)
        if len(earlier) == 2:
            done(earlier.pop(0), row.scan, refused)


def done(batch: PartsBatch, scan: Scan, refused: bool) -> None:
    uploads = list(InventoryUpload.objects.filter(pk__in=batch.uploads))
    for number, upload in enumerate(uploads):
        now = timezone.now()
        if refused and number % 2:
            upload.check_error, upload.check_due_at = "AccessDenied", now + steps.REFUSED_REST
        else:
            upload.check_error, upload.checked_at = "", now
            upload.check_due_at = now + timedelta(hours=number % 3 * 20)
    InventoryUpload.objects.bulk_update(uploads, ["check_error", "check_due_at", "checked_at"])


@pytest.mark.parametrize("few", [0, 2000])
@pytest.mark.parametrize("of_places", [True, False])
def test_each_upload_is_read_once_in_the_order_of_importance(
    bucket: InventoryBucket, of_places: bool, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 13)
    monkeypatch.setattr(steps, "FEW", few)
    before = list(InventoryUpload.objects.all())
    for prefix in PREFIXES if of_places else ("",):
        InventoryUpload.objects.bulk_update(before, ["check_due_at", "checked_at", "check_error"])
        row = new_scan(bucket, prefix, of_places=of_places)
        expected = [
            each
            for each in before
            if each.bucket_id == bucket.pk and each.ended_at is None and each.key.startswith(prefix)
        ]
        if not of_places:
            expected = [each for each in expected if not each.check_due_at or each.check_due_at < row.scan.created_at]
        assert steps.to_check(row.scan, row).count() == len(expected), prefix
        never = [each.pk for each in expected if each.check_due_at is None]
        known = [(each.check_due_at, each.pk) for each in expected if each.check_due_at is not None]
        in_order = [*sorted(never), *(pk for _due, pk in sorted(known))]
        assert list(read_order(row, refused=True)) == in_order, prefix


def test_what_a_listing_left_out_is_found_once(bucket: InventoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHUNK", 7)
    rows = InventoryUpload.objects.filter(bucket=bucket, ended_at=None)
    for prefix in PREFIXES:
        found = [each.pk for chunk in listing._unlisted(new_scan(bucket, prefix, of_places=True)) for each in chunk]
        assert sorted(found) == sorted(each.pk for each in rows if each.key.startswith(prefix)), prefix


@pytest.mark.parametrize("prefix", ["", "a/"])
def test_the_next_batch_is_found_by_the_index_of_what_is_due(
    bucket: InventoryBucket, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "FEW", 5)
    write(row_of(bucket, 10_000 + number, key=f"a/{number}", check_due_at=timezone.now()) for number in range(1500))
    write(row_of(bucket, 20_000 + number, key=f"a/{number}", check_due_at=None) for number in range(1500))
    other = InventoryBucket.objects.get(name="other")
    write(row_of(other, 30_000 + number, check_due_at=None) for number in range(1500))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE uploads_inventoryupload")
    row = new_scan(bucket, prefix, of_places=True)
    for checks in (BucketScan.NEW, BucketScan.KNOWN):
        row.checks, row.due_cursor = checks, timezone.now() - timedelta(hours=10) if checks > BucketScan.NEW else None
        with CaptureQueriesContext(connection) as captured:
            found = [list(segment[:100]) for segment in steps._after_cursors(row.scan, row)]
        assert found[-1]
        for query in captured.captured_queries:
            if "check_due_at" in query["sql"].partition("WHERE")[2]:
                plan = plan_of(query["sql"])
                assert "inventory_check_due" in plan, plan
                assert "TEMP B-TREE" not in plan, plan
                assert "Sort" not in plan or "Sort Method: quicksort" in plan, plan
