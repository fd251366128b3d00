"""The uploads of a filter in groups: by store, bucket, prefix, initiator or age, largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, CharField, Expression, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Left, StrIndex, Substr
from django.utils import timezone

from uploads.access import AnyUser
from uploads.domain.inventory_filter import DELIMITER, FOLDER, INITIATOR, Grouping, InventoryFilter
from uploads.models import InventoryBucket, InventorySum, InventoryUpload, Store
from uploads.selectors.inventory.covering import covering_for
from uploads.selectors.inventory.plan import Plan, in_progress, plan_of, select
from uploads.selectors.inventory.totals import (
    COUNTED,
    ClassBytes,
    Totals,
    added,
    columns_of,
    less,
    sums_of,
    totals,
)

AGES = (timedelta(days=1), timedelta(days=7), timedelta(days=30), timedelta(days=90), timedelta(days=365))
"""The limits of the groups by age. The first group is younger than the first limit, the last older than the last."""

MAX_GROUPS = 200
"""Groups that are returned at a time."""

MAX_ROWS = 20_000
"""Groups of a price, largest first, that are put together."""


@dataclass(frozen=True, slots=True)
class Group:
    """Uploads with something in common. `value` is its name, a prefix or an initiator; '' if it has none.

    `inside` is the filter that leaves exactly these uploads. `store` and `bucket` are the names of what the group is
    in. Of ages: `older_than` and `younger_than`.
    """

    value: str
    totals: Totals
    inside: InventoryFilter
    store: str = ""
    bucket: str = ""
    older_than: timedelta | None = None
    younger_than: timedelta | None = None


NOTHING = Totals()


@dataclass(frozen=True, slots=True)
class Groups:
    """`is_least`: not all uploads were read. `following` are the uploads of the groups that follow, and `further` is
    the number of these groups; None if only their uploads are known. `next`: at which the next ones start, if any.
    """

    groups: Sequence[Group] = ()
    is_least: bool = False
    following: Totals = NOTHING
    further: int | None = 0
    next: int | None = None

    @property
    def has_more(self) -> bool:
        return self.further != 0


Row = tuple[Any, int, str, int, int, int | None]
"""What is common, the store, the storage class, the uploads, those with known bytes, and the bytes."""


def groups(
    user: AnyUser,
    wanted: InventoryFilter,
    by: Grouping,
    *,
    depth: int = 1,
    most_uploads: bool = False,
    now: datetime | None = None,
    plan: Plan | None = None,
    start: int = 0,
) -> Groups:
    """The groups with the most bytes, or with the most uploads, from a number on. Raises NotAllowed.

    `depth` are the folders of a group by prefix below that of the filter.
    """
    now = now or timezone.now()
    sums = sums_of(user, wanted) if by in (Grouping.STORE, Grouping.BUCKET) else None
    if sums is not None:
        rows, is_least, is_cut = _stored(sums, wanted, by), False, False
    else:
        plan, order = plan or plan_of(user, wanted, now), MOST_UPLOADS if most_uploads else MOST_BYTES
        rows, is_least = _counted(plan, wanted, by, depth, now, order)
        is_cut = len(rows) > MAX_ROWS
    found = _in_order(_put_together(rows, is_least=is_least), by, most_uploads=most_uploads)
    end = start + MAX_GROUPS
    shown, following = found[start:end], [each for _common, each in found[end:]]
    rest = added(following)
    if is_cut:
        # What is in no row is known only from the totals.
        rest = less(totals(user, wanted, now, plan), added([each for _common, each in found[:end]]))
    return Groups(
        _described(shown, by, wanted, depth),
        is_least,
        replace(rest, is_least=rest.is_least or is_least),
        None if is_cut else len(following),
        end if following else None,
    )


def _stored(sums: QuerySet[InventorySum], wanted: InventoryFilter, by: Grouping) -> list[Row]:
    uploads, known, size = columns_of(wanted)
    common = "bucket__store" if by == Grouping.STORE else "bucket"
    found = (
        sums.annotate(common=F(common))
        .values_list("common", "bucket__store", "storage_class")
        .annotate(n=Sum(uploads), k=Sum(known), b=Sum(size) if size else Value(0))
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in found.order_by() if row[3]]


GROUPED = (
    "SELECT v0, v1, v2, COUNT(*), COUNT(v3), SUM(v3) FROM {} WHERE passes > 0 GROUP BY v0, v1, v2 ORDER BY ORDER_OF"
    " LIMIT %s"
)
MOST_BYTES, MOST_UPLOADS = (
    GROUPED.replace("ORDER_OF", order)
    for order in ("COALESCE(SUM(v3), 0) DESC, COUNT(*) DESC", "COUNT(*) DESC, COALESCE(SUM(v3), 0) DESC")
)


def _counted(
    plan: Plan, wanted: InventoryFilter, by: Grouping, depth: int, now: datetime, grouped: str
) -> tuple[list[Row], bool]:
    values = (what_is_common(by, wanted.prefix, depth, now), "store_id", "storage_class", "bytes")
    if plan.few is not None:
        rows, test, most = in_progress(Q(pk__in=plan.few)), plan.all_tests, len(plan.few) + 1
    else:
        rows, test, most = read_of(plan, by)
    found = select(grouped, rows, test, most, values, MAX_ROWS + 1)
    is_least = plan.few is None and bool(rows.values_list("pk")[most : most + 1])
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in found], is_least


ORDERS = {
    Grouping.STORE: ("store_id", "bytes", "id"),
    Grouping.BUCKET: ("bucket_id", "bytes", "id"),
    Grouping.PREFIX: ("bucket_id", "key", "id"),
    Grouping.INITIATOR: ("initiator", "id"),
    Grouping.AGE: ("started_at", "id"),
}
"""The order of the index that has most of what a grouping needs.

`store` instead of `store_id` would order by the names of stores, which no index does.
"""

NEEDS = {Grouping.PREFIX: {"key"}, Grouping.INITIATOR: {"initiator"}, Grouping.AGE: {"started_at"}}
"""What a grouping needs of each upload besides the columns that all of these indexes have."""


def read_of(plan: Plan, by: Grouping) -> tuple[QuerySet[InventoryUpload], Q, int]:
    """The uploads to read, what to test on them, and how many: many where an index has all that is needed."""
    covering = covering_for(plan, NEEDS.get(by, set()), ORDERS[by])
    if covering is not None:
        return covering
    leading = next((each for each in plan.conditions if each.order), None)
    if leading is None:
        return in_progress(Q()).order_by(*ORDERS[by]), plan.all_tests, COUNTED
    return in_progress(leading.q).order_by(*leading.order), plan.tests([leading]), COUNTED


def what_is_common(by: Grouping, prefix: str, depth: int, now: datetime) -> Expression | str:
    match by:
        case Grouping.STORE:
            return "store_id"
        case Grouping.BUCKET:
            return "bucket_id"
        case Grouping.INITIATOR:
            return "initiator"
        case Grouping.AGE:
            ages = [When(started_at__gt=now - limit, then=Value(number)) for number, limit in enumerate(AGES)]
            return Case(*ages, default=Value(len(AGES)), output_field=IntegerField())
    return folder(prefix, depth)


def folder(prefix: str, depth: int) -> Expression:
    """The beginning of a key with so many folders below the prefix; all that it has, if it has fewer.

    A folder ends with its delimiter; an empty name is one too.
    """
    end: Expression = Value(len(prefix))
    for _level in range(depth):
        end = end + StrIndex(Substr(F("key"), end + Value(1)), Value(DELIMITER))
    return Left(F("key"), end, output_field=CharField())


def _put_together(rows: Sequence[Row], *, is_least: bool) -> dict[Any, Totals]:
    """The totals of each group over its stores and storage classes."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return {
        common: Totals(
            uploads=sum(int(row[3]) for row in each),
            bytes=sum(int(row[5] or 0) for row in each),
            known=sum(int(row[4]) for row in each),
            is_least=is_least,
            by_class=tuple(ClassBytes(row[1], row[2], int(row[5] or 0)) for row in each),
        )
        for common, each in found.items()
    }


def _in_order(found: dict[Any, Totals], by: Grouping, *, most_uploads: bool) -> list[tuple[Any, Totals]]:
    """Ages in their order, others by their size."""
    if by == Grouping.AGE:
        return sorted(found.items())

    def size(totals: Totals) -> tuple[int, int]:
        return (totals.uploads, totals.bytes) if most_uploads else (totals.bytes, totals.uploads)

    by_name = sorted(found.items(), key=lambda each: str(each[0]))
    return sorted(by_name, key=lambda each: size(each[1]), reverse=True)


def _described(
    shown: Sequence[tuple[Any, Totals]], by: Grouping, wanted: InventoryFilter, depth: int
) -> Sequence[Group]:
    ids = [common for common, _totals in shown]
    match by:
        case Grouping.STORE:
            stores = Store.objects.in_bulk(ids)
            return [_store(stores[pk], each, wanted) for pk, each in shown if pk in stores]
        case Grouping.BUCKET:
            rows = InventoryBucket.objects.select_related("store").filter(pk__in=ids)
            buckets = {row.pk: row for row in rows}
            return [_bucket(buckets[pk], each, wanted) for pk, each in shown if pk in buckets]
        case Grouping.AGE:
            return [_age(number, each, wanted) for number, each in shown]
        case Grouping.INITIATOR:
            return [_initiator(str(value), each, wanted) for value, each in shown]
    return [_prefix(str(value), each, wanted, depth) for value, each in shown]


def _store(store: Store, totals: Totals, wanted: InventoryFilter) -> Group:
    return Group(store.name, totals, replace(wanted, store=store.name), store=store.name)


def _bucket(bucket: InventoryBucket, totals: Totals, wanted: InventoryFilter) -> Group:
    store = bucket.store.name
    return Group(bucket.name, totals, replace(wanted, store=store, bucket=bucket.name), store=store, bucket=bucket.name)


def _initiator(name: str, totals: Totals, wanted: InventoryFilter) -> Group:
    return Group(name, totals, replace(wanted, initiator=name) if name else lacking(wanted, INITIATOR))


def _prefix(value: str, totals: Totals, wanted: InventoryFilter, depth: int) -> Group:
    """Keys that end in fewer folders than were asked for are not those of all folders below."""
    inside = replace(wanted, prefix=value)
    is_whole = value[len(wanted.prefix) :].count(DELIMITER) == depth
    return Group(value, totals, inside if is_whole else lacking(inside, FOLDER))


def lacking(wanted: InventoryFilter, what: str) -> InventoryFilter:
    return replace(wanted, without=tuple(sorted({*wanted.without, what})))


def _age(number: int, totals: Totals, wanted: InventoryFilter) -> Group:
    """The limits of the group, and within those of the filter."""
    older = AGES[number - 1] if number else None
    younger = AGES[number] if number < len(AGES) else None
    inside = replace(
        wanted,
        older_than=max(filter(None, (older, wanted.older_than)), default=wanted.older_than),
        younger_than=min(filter(None, (younger, wanted.younger_than)), default=wanted.younger_than),
    )
    return Group("", totals, inside, older_than=older, younger_than=younger)
