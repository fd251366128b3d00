"""A page of the inventory, and all of it in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from uploads.access import AnyUser
from uploads.domain.inventory_filter import InventoryFilter, Sort
from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.selectors.inventory.order import Order, Place, Segment
from uploads.selectors.inventory.plan import PASSING, Plan, in_progress, plan_of, select

CANDIDATES = 100_000
"""Uploads that are tested for one page. If few of them match, the page ends early, and the next one continues there."""

BATCH = 1000
"""Uploads of an export that are in memory at a time."""

COMPOSITE = {"bytes": ("bucket", "verdict", "store"), "key": ("bucket",)}
"""The columns that an index has before that of the order, the rarer value first."""


@dataclass(frozen=True, slots=True)
class InventoryPage:
    """Uploads in the order of the page. `next` and `previous` are cursors; None: there is nothing.

    `ended_early`: many candidates were tested, and more may match on the next page.
    """

    uploads: Sequence[InventoryUpload]
    next: str | None = None
    previous: str | None = None
    ended_early: bool = False


def find_page(
    user: AnyUser,
    wanted: InventoryFilter,
    *,
    sort: Sort = Sort.BYTES,
    largest_first: bool = True,
    cursor: str = "",
    limit: int,
    now: datetime | None = None,
    plan: Plan | None = None,
) -> InventoryPage:
    """The uploads in progress with this filter, from a cursor on. Raises NotAllowed and BadCursor."""
    order = Order(sort, largest_first)
    place = order.read(cursor) if cursor else None
    found = _find(plan or plan_of(user, wanted, now), order, place, limit)
    return _page(order, place, found)


def iter_uploads(
    user: AnyUser,
    wanted: InventoryFilter,
    *,
    sort: Sort = Sort.BYTES,
    largest_first: bool = True,
    batch: int | None = None,
    now: datetime | None = None,
    plan: Plan | None = None,
) -> Iterator[InventoryUpload]:
    """All uploads in progress with this filter, in batches, with constant memory. Raises NotAllowed at once."""
    return _iterate(plan or plan_of(user, wanted, now), Order(sort, largest_first), batch or BATCH)


def _iterate(plan: Plan, order: Order, batch: int) -> Iterator[InventoryUpload]:
    place: Place | None = None
    while True:
        found = _find(plan, order, place, batch)
        yield from found.uploads
        if found.further is None:
            return
        place = found.further


@dataclass(frozen=True, slots=True)
class _Found:
    """Uploads from a place on, in its direction. `further`: where to continue; None at the end."""

    uploads: list[InventoryUpload]
    further: Place | None
    ended_early: bool = False


def _page(order: Order, place: Place | None, found: _Found) -> InventoryPage:
    uploads = found.uploads
    further = order.write(found.further) if found.further else None
    if place is None or not place.is_before:
        first = order.place_of(uploads[0], is_before=True) if uploads else _turned(place)
        back = order.write(first) if place is not None and first is not None else None
        return InventoryPage(uploads, further, back, found.ended_early)
    last = order.place_of(uploads[0]) if uploads else _turned(place)
    onward = order.write(last) if last is not None else None
    return InventoryPage(uploads[::-1], onward, further, found.ended_early)


def _turned(place: Place | None) -> Place | None:
    return None if place is None else Place(place.value, place.pk, not place.is_before)


def _find(plan: Plan, order: Order, place: Place | None, limit: int) -> _Found:
    found = _search(plan, order, place, limit)
    _name_places(found.uploads)
    return found


def _search(plan: Plan, order: Order, place: Place | None, limit: int) -> _Found:
    backwards = place is not None and place.is_before
    uploads: list[InventoryUpload] = []
    left = CANDIDATES
    for segment in order.segments(place):
        wanted = limit + 1 - len(uploads)
        if plan.few is not None:
            uploads += plan.rows().filter(segment.condition).order_by(*order.columns(backwards))[:wanted]
        else:
            ids, stop, left = _walk(plan, order, segment, backwards=backwards, limit=wanted, most=left)
            uploads += _loaded(ids)
            if stop is not None and len(uploads) <= limit:
                return _Found(uploads, Place(*stop, is_before=backwards), ended_early=True)
        if len(uploads) > limit:
            return _Found(uploads[:limit], order.place_of(uploads[limit - 1], is_before=backwards))
    return _Found(uploads, None)


def _name_places(uploads: Sequence[InventoryUpload]) -> None:
    """Set the stores and buckets of the rows, each read once."""
    stores = Store.objects.in_bulk({each.store_id for each in uploads})
    buckets = InventoryBucket.objects.in_bulk({each.bucket_id for each in uploads})
    for each in uploads:
        each.store, each.bucket = stores[each.store_id], buckets[each.bucket_id]


def _loaded(ids: Sequence[int]) -> list[InventoryUpload]:
    rows = InventoryUpload.objects.in_bulk(ids)
    return [rows[pk] for pk in ids if pk in rows]


def _walk(
    plan: Plan, order: Order, segment: Segment, *, backwards: bool, limit: int, most: int
) -> tuple[list[int], tuple[object, int] | None, int]:
    """The ids of the first candidates of a segment that pass, where it stopped if there are more, and what is left."""
    equal = next(
        (each for name in COMPOSITE.get(order.column, ()) for each in plan.leading((name,)) if each.is_equal), None
    )
    # A range besides the one value of a segment would make SQLite search by the range, and sort.
    inside = [*([] if segment.has_one_value else plan.leading((order.column,))), *([equal] if equal else [])]
    columns = order.columns(backwards)
    rows = in_progress(segment.condition).filter(*(each.q for each in inside)).order_by(*columns)
    test = plan.tests(inside)
    if not test:
        return list(rows.values_list("pk", flat=True)[:limit]), None, most
    found = [pk for (pk,) in select(PASSING, rows, test, most, ("pk",), limit)]
    if len(found) >= limit:
        return found, None, most
    stop = next(iter(rows.values_list(order.column, "pk")[most - 1 : most]), None)
    return found, stop, max(most - rows[:most].count(), 1) if stop is None else 1
