"""How many uploads a filter finds, and how many bytes they have: from the stored sums where these suffice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Case, Q, QuerySet, Sum, Value, When

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import EMPTY, InventoryFilter
from uploads.models import InventorySum, InventoryUpload
from uploads.selectors.inventory.covering import covering_for
from uploads.selectors.inventory.plan import Plan, in_progress, plan_of, select

COUNTED = 200_000
"""Uploads that are read to count. If there are more, the counts are the least that there are."""


@dataclass(frozen=True, slots=True)
class ClassBytes:
    """Bytes of a store in a storage class, which have one price."""

    store_id: int
    storage_class: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """`bytes` are those of the `known` uploads whose bytes are known. `empty` are those without parts.

    `is_least`: there may be more.
    """

    uploads: int = 0
    bytes: int = 0
    known: int = 0
    empty: int = 0
    is_least: bool = False
    by_class: Sequence[ClassBytes] = ()


def added(several: Sequence[Totals]) -> Totals:
    """The totals of all of them together. `empty` is not known of groups."""
    sizes: Counter[tuple[int, str]] = Counter()
    for each in several:
        sizes.update({(size.store_id, size.storage_class): size.bytes for size in each.by_class})
    return Totals(
        uploads=sum(each.uploads for each in several),
        bytes=sum(each.bytes for each in several),
        known=sum(each.known for each in several),
        is_least=any(each.is_least for each in several),
        by_class=tuple(ClassBytes(*place, size) for place, size in sizes.items()),
    )


def less(whole: Totals, part: Totals) -> Totals:
    """What the whole has besides a part. The uploads may have changed between the two, so nothing is below zero."""
    known = {(size.store_id, size.storage_class): size.bytes for size in part.by_class}
    return Totals(
        uploads=max(0, whole.uploads - part.uploads),
        bytes=max(0, whole.bytes - part.bytes),
        known=max(0, whole.known - part.known),
        is_least=whole.is_least or part.is_least,
        by_class=tuple(
            replace(size, bytes=max(0, size.bytes - known.get((size.store_id, size.storage_class), 0)))
            for size in whole.by_class
        ),
    )


def totals(user: AnyUser, wanted: InventoryFilter, now: datetime | None = None, plan: Plan | None = None) -> Totals:
    """Raises NotAllowed."""
    sums = sums_of(user, wanted)
    if sums is not None:
        return _stored(sums, wanted)
    return _counted(plan or plan_of(user, wanted, now))


def sums_of(user: AnyUser, wanted: InventoryFilter) -> QuerySet[InventorySum] | None:
    """The stored sums of exactly these uploads; None if the filter or the grants of the user are finer."""
    plain = InventoryFilter(
        store=wanted.store, bucket=wanted.bucket, storage_class=wanted.storage_class, verdicts=wanted.verdicts
    )
    if wanted != plain or (EMPTY in wanted.verdicts and wanted.verdicts != (EMPTY,)):
        return None
    sums = access.visible_inventory_sums(user)
    if sums is None:
        return None
    places = {"bucket__store__name": wanted.store, "bucket__name": wanted.bucket, "storage_class": wanted.storage_class}
    sums = sums.filter(**{name: value for name, value in places.items() if value})
    return sums.filter(verdict__in=wanted.verdicts) if wanted.verdicts not in ((), (EMPTY,)) else sums


def columns_of(wanted: InventoryFilter) -> tuple[str, str, str]:
    """The columns of a stored sum with the uploads, those whose bytes are known, and the bytes; '' for 0."""
    return ("empty", "empty", "") if wanted.verdicts == (EMPTY,) else ("uploads", "checked", "bytes")


def _stored(sums: QuerySet[InventorySum], wanted: InventoryFilter) -> Totals:
    uploads, known, size = columns_of(wanted)
    found = sums.values_list("bucket__store", "storage_class").annotate(
        n=Sum(uploads), k=Sum(known), b=Sum(size) if size else Value(0), e=Sum("empty")
    )
    rows = found.order_by("bucket__store", "storage_class")
    return _total([(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows if row[2]])


def _total(rows: Sequence[tuple[int, str, int, int, int | None, int]], *, is_least: bool = False) -> Totals:
    classes = tuple(ClassBytes(row[0], row[1], int(row[4] or 0)) for row in rows)
    return Totals(
        uploads=sum(int(row[2]) for row in rows),
        bytes=sum(each.bytes for each in classes),
        known=sum(int(row[3]) for row in rows),
        empty=sum(int(row[5]) for row in rows),
        is_least=is_least,
        by_class=classes,
    )


# An upload without parts has no bytes: what an index does not have is read of few uploads.
IS_EMPTY = Case(When(bytes=0, parts=0, then=Value(1)), default=Value(0))
VALUES = ("store_id", "storage_class", "bytes", IS_EMPTY)
GROUPED = "SELECT v0, v1, COUNT(*), COUNT(v2), SUM(v2), SUM(v3) FROM {} WHERE passes > 0 GROUP BY v0, v1"


def _counted(plan: Plan) -> Totals:
    if plan.few is not None:
        rows, test, most = in_progress(Q(pk__in=plan.few)), plan.all_tests, len(plan.few) + 1
    else:
        rows, test, most = covering_for(plan, (), ("started_at", "id")) or (*candidates(plan), COUNTED)
    counted = select(GROUPED, rows, test, most, VALUES)
    found = [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in counted]
    return _total(found, is_least=plan.few is None and bool(rows.values_list("pk")[most : most + 1]))


def candidates(plan: Plan) -> tuple[QuerySet[InventoryUpload], Q]:
    """The uploads that meet one condition, in the order of its index, and what is to be tested on them."""
    leading = next((each for each in plan.conditions if each.order), None)
    if leading is None:
        return in_progress(Q()).order_by("started_at", "id"), plan.all_tests
    return in_progress(leading.q).order_by(*leading.order), plan.tests([leading])
