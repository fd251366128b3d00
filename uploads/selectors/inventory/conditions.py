"""A filter of the inventory as conditions of a query, one for each value, with the index that finds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import StrIndex, Substr
from django.db.models.lookups import Exact
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import DELIMITER, EMPTY, FOLDER, INITIATOR, InventoryFilter
from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.inventory import IN_PROGRESS, keys_below
from uploads.selectors.inventory.search import containing, exactly, upload_ids_in

SHORTEST_TRIGRAM = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """What one value of a filter requires. `order` are the columns of the index that finds it; empty if there is none.
    `parts_of_texts`: columns, and the condition on each, one of which suffices; an index of the column has all texts.

    `name` is the column. `is_equal`: it requires one value of the column, so that the index goes on in order.
    `has_trigrams`: the searched part is long enough for an index of trigrams.
    """

    name: str
    q: Q
    order: tuple[str, ...] = ()
    is_equal: bool = False
    parts_of_texts: tuple[tuple[str, Q], ...] = ()
    has_trigrams: bool = False


def uploads_of(user: AnyUser, wanted: InventoryFilter, now: datetime | None = None) -> QuerySet[InventoryUpload]:
    """The uploads in progress that the user may see with this filter, in no order. Raises NotAllowed."""
    found = [each.q for each in conditions_of(wanted, now or timezone.now())]
    return access.visible_inventory(user).filter(IN_PROGRESS, *found)


def all_of(conditions: list[Condition]) -> Q:
    return reduce(and_, (each.q for each in conditions), Q())


def conditions_of(wanted: InventoryFilter, now: datetime) -> list[Condition]:
    """One condition for each value, those first that few uploads meet as a rule."""
    return list(_conditions(wanted, now))


def _conditions(wanted: InventoryFilter, now: datetime) -> Iterator[Condition]:
    if wanted.ids:
        yield Condition("id", Q(pk__in=wanted.ids), ("id",))
    if wanted.q:
        yield _search(wanted.q)
    buckets = _bucket_ids(wanted) if wanted.bucket else None
    if buckets is not None:
        yield _in("bucket", buckets, ("bucket_id", "bytes", "id"))
    if wanted.prefix:
        yield Condition("key", keys_below(wanted.prefix), ("key", "id"))
    if wanted.initiator:
        yield Condition("initiator", Q(initiator=wanted.initiator), ("initiator", "id"), is_equal=True)
    if INITIATOR in wanted.without:
        yield Condition("initiator", Q(initiator=""), ("initiator", "id"), is_equal=True)
    if FOLDER in wanted.without:
        yield Condition("folder", _no_folder(wanted.prefix))
    if wanted.storage_class:
        yield Condition("storage_class", Q(storage_class=wanted.storage_class), ("storage_class", "id"), is_equal=True)
    if wanted.verdicts:
        yield _verdicts(wanted.verdicts)
    if wanted.store and buckets is None:
        stores = list(Store.objects.filter(name=wanted.store).values_list("pk", flat=True))
        yield _in("store", stores, ("store_id", "bytes", "id"))
    yield from _ranges(wanted, now)


def _search(text: str) -> Condition:
    words = upload_ids_in(text)
    if words:
        return Condition("q", exactly(words), ("upload_id", "id"))
    parts = containing(text.strip())
    is_long = len(text.strip()) >= SHORTEST_TRIGRAM
    return Condition("q", reduce(or_, (each for _column, each in parts)), parts_of_texts=parts, has_trigrams=is_long)


def _no_folder(prefix: str) -> Q:
    """Keys without a folder below the prefix."""
    return Q(Exact(StrIndex(Substr(F("key"), len(prefix) + 1), Value(DELIMITER)), 0))


def _in(name: str, ids: list[int], order: tuple[str, ...]) -> Condition:
    if len(ids) == 1:
        return Condition(name, Q(**{name: ids[0]}), order, is_equal=True)
    return Condition(name, Q(**{f"{name}__in": ids}), order)


def _bucket_ids(wanted: InventoryFilter) -> list[int]:
    """The buckets with this name, of one store or of all."""
    rows = InventoryBucket.objects.filter(name=wanted.bucket)
    if wanted.store:
        rows = rows.filter(store__name=wanted.store)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _verdicts(verdicts: tuple[str, ...]) -> Condition:
    judged = [each for each in verdicts if each != EMPTY]
    if judged == list(verdicts):
        if len(judged) == 1:
            return Condition("verdict", Q(verdict=judged[0]), ("verdict", "bytes", "id"), is_equal=True)
        return Condition("verdict", Q(verdict__in=judged), ("verdict", "bytes", "id"))
    if not judged:
        return Condition("parts", Q(parts=0), ("parts", "id"), is_equal=True)
    return Condition("verdict or parts", Q(verdict__in=judged) | Q(parts=0))


def _ranges(wanted: InventoryFilter, now: datetime) -> Iterator[Condition]:
    started = Q() if wanted.older_than is None else Q(started_at__lte=now - wanted.older_than)
    if wanted.younger_than is not None:
        started &= Q(started_at__gt=now - wanted.younger_than)
    if started:
        yield Condition("started_at", started, ("started_at", "id"))
    if wanted.idle_for is not None:
        yield Condition("active_at", Q(active_at__lte=now - wanted.idle_for), ("active_at", "id"))
    for name, least, most in (
        ("bytes", wanted.min_bytes, wanted.max_bytes),
        ("parts", wanted.min_parts, wanted.max_parts),
    ):
        limits = ({f"{name}__gte": least} if least is not None else {}) | (
            {f"{name}__lte": most} if most is not None else {}
        )
        if limits:
            yield Condition(name, Q(**limits), (name, "id"))
