"""Totals, groups to any depth and pages for users with all kinds of grants equal a model over generated rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from tests.on_postgresql import run_again
from tests.services.inventory.rows import NOW, add_up, row_of, store_of, write
from tests.stores.postgresql import Cluster
from uploads.domain.inventory_filter import Grouping, InventoryFilter, Sort
from uploads.domain.roles import Role
from uploads.models import Grant, InventoryBucket, InventoryUpload
from uploads.selectors.inventory import find_page, groups, plan, plan_of, totals

pytestmark = pytest.mark.django_db

PIECES = ("a", "A", "a%", "a_", "a\\", "", "é", "E\u0301", "\U0010ffff", " ", "日", "b" * 60, "'", "\n")
PREFIXES = ("", "a", "A", "a/", "a%", "a_/", "a\\", "/", "//", "é/", "a/a/", "\U0010ffff", "nowhere")
CASES = 40


def keys(chance: random.Random) -> str:
    return "/".join(chance.choice(PIECES) for _ in range(chance.randint(1, 6))) or "-"


@pytest.fixture
def buckets() -> list[InventoryBucket]:
    chance = random.Random(14)
    stores = [store_of("s"), store_of("S")]
    found = [InventoryBucket.objects.create(store=store, name=name) for store in stores for name in ("b", "B", "c")]
    write(
        row_of(
            chance.choice(found),
            number,
            key=keys(chance),
            storage_class=chance.choice(("STANDARD", "GLACIER", "")),
            ended_at=NOW if number % 19 == 0 else None,
        )
        for number in range(500)
    )
    add_up()
    return found


def test_random_filters_and_grants_equal_the_model(
    buckets: list[InventoryBucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(InventoryUpload.objects.select_related("store", "bucket").filter(ended_at=None))
    chance, seen = random.Random(2026), 0
    for number in range(CASES):
        monkeypatch.setattr(plan, "FEW", chance.choice((10, 5000)))
        user = User.objects.create_user(f"user-{number}")
        grants = [grant_of(user, chance, buckets) for _ in range(chance.randint(1, 3))]
        wanted, depth = filter_of(chance), chance.randint(1, 4)
        expected = [row for row in rows if any(may_see(row, each) for each in grants) and passes(row, wanted)]
        seen += bool(expected)
        asked = plan_of(user, wanted, NOW)
        what = f"{wanted} of {grants}"
        found = totals(user, wanted, NOW, plan=asked)
        assert (found.uploads, found.bytes, found.known, found.is_least) == (*sums_of(expected), False), what
        for by in (Grouping.PREFIX, Grouping.BUCKET, Grouping.INITIATOR):
            in_groups = groups(user, wanted, by, depth=depth, now=NOW, plan=asked)
            sums = {
                (each.store, each.bucket, each.value): (each.totals.uploads, each.totals.bytes, each.totals.known)
                for each in in_groups.groups
            }
            assert sums == grouped(expected, by, wanted.prefix, depth), f"{what} by {by} {depth}"
        page = find_page(user, wanted, sort=Sort.KEY, largest_first=False, limit=1000, now=NOW, plan=asked)
        in_order = sorted(expected, key=lambda row: (row.key.encode(), row.pk))
        assert [row.pk for row in page.uploads] == [row.pk for row in in_order], what
    assert seen > CASES // 2, "most cases find something"


def grant_of(user: User, chance: random.Random, buckets: Sequence[InventoryBucket]) -> Grant:
    bucket = chance.choice(buckets)
    prefix = chance.choice(PREFIXES)
    name = bucket.name if prefix or chance.random() < 0.6 else ""
    return Grant.objects.create(user=user, role=Role.VIEWER, store=bucket.store, bucket=name, prefix=prefix)


def may_see(row: InventoryUpload, grant: Grant) -> bool:
    in_bucket = row.store_id == grant.store_id and grant.bucket in ("", row.bucket.name)
    return in_bucket and row.key.startswith(grant.prefix)


def filter_of(chance: random.Random) -> InventoryFilter:
    def maybe(values: Sequence[str], share: float) -> str:
        return chance.choice(values) if chance.random() < share else ""

    return InventoryFilter(
        bucket=maybe(("b", "B"), 0.15),
        prefix=maybe(PREFIXES, 0.4),
        storage_class=maybe(("GLACIER",), 0.1),
        verdicts=chance.choice(((), (), (), ("dead", "stalled"), ("empty",), ("alive", "empty"))),
        older_than=timedelta(minutes=200) if chance.random() < 0.2 else None,
        max_parts=6 if chance.random() < 0.1 else None,
        q=maybe(("a%", "A", "_", "\\", "é", "upload~000000"), 0.15),
    )


def passes(row: InventoryUpload, wanted: InventoryFilter) -> bool:
    verdicts = {row.verdict, *(["empty"] if row.parts == 0 else [])}
    return (
        wanted.bucket in ("", row.bucket.name)
        and row.key.startswith(wanted.prefix)
        and wanted.storage_class in ("", row.storage_class)
        and (not wanted.verdicts or bool(verdicts & set(wanted.verdicts)))
        and (wanted.older_than is None or row.started_at <= NOW - wanted.older_than)
        and (wanted.max_parts is None or (row.parts is not None and row.parts <= wanted.max_parts))
        and (wanted.q in row.key or wanted.q in row.upload_id)
    )


def sums_of(rows: Sequence[InventoryUpload]) -> tuple[int, int, int]:
    known = [row.bytes for row in rows if row.bytes is not None]
    return len(rows), sum(known), len(known)


def grouped(
    rows: Sequence[InventoryUpload], by: Grouping, prefix: str, depth: int
) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    found = dict[tuple[str, str, str], list[InventoryUpload]]()
    for row in rows:
        match by:
            case Grouping.PREFIX:
                folders = row.key[len(prefix) :].split("/")
                common = ("", "", prefix + "".join(f"{each}/" for each in folders[:-1][:depth]))
            case Grouping.BUCKET:
                common = (row.store.name, row.bucket.name, row.bucket.name)
            case _:
                common = ("", "", row.initiator)
        found.setdefault(common, []).append(row)
    return {common: sums_of(each) for common, each in found.items()}


def test_on_postgresql(postgresql_cluster: Cluster) -> None:
    run_again(__file__, postgresql_cluster)
