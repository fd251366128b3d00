"""Which index finds the uploads of a filter, so that every question reads a bounded number of rows.

If few uploads meet one of the conditions, the index of the rarest gives all of them, and they are sorted. Otherwise the
index of the order, or one that begins with a condition, gives candidates, and the other conditions are tested on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import InventoryFilter
from uploads.models import InventoryUpload
from uploads.models.inventory import IN_PROGRESS, keys_below
from uploads.selectors.inventory.conditions import Condition, all_of, conditions_of

FEW = 5_000
"""So many uploads are sorted for a page. More are read in the order of an index."""

SEARCHED = 2_000_000
"""Keys and upload ids that are searched for a text to find all uploads that have it."""

TRIED = 20_000
"""As `SEARCHED`, before an index of trigrams finds the others."""

MOST_PLACES = 20
"""Prefixes of buckets that a user's grants name, and of which each is looked up."""


@dataclass(frozen=True)
class Plan:
    """`conditions` are those of the filter. `visible` is what the user may see, in `places` if there are any."""

    conditions: Sequence[Condition]
    visible: Q
    places: Sequence[Condition]

    @cached_property
    def few(self) -> Sequence[int] | None:
        """The ids of all uploads that meet the rarest condition; None if there are more than `FEW`."""
        found: Sequence[int] | None = None
        by_index = [[each] for each in self.conditions if each.order] + [self.places] * bool(self.places)
        for alternatives in by_index:
            some = _ids(alternatives, FEW if found is None else len(found))
            found = found if some is None else some
            if found is not None and len(found) <= 100:
                return found
        texts = next((each for each in self.conditions if each.parts_of_texts), None)
        return _with_text(texts, FEW) if found is None and texts else found

    def leading(self, columns: Sequence[str]) -> list[Condition]:
        """The conditions on these columns, which are part of what an index finds."""
        return [each for each in self.conditions if each.name in columns]

    def tests(self, besides: Sequence[Condition]) -> Q:
        """All that is tested on candidates which meet some of the conditions."""
        return self.visible & all_of([each for each in self.conditions if each not in besides])

    @property
    def all_tests(self) -> Q:
        return self.tests(())

    def rows(self) -> QuerySet[InventoryUpload]:
        """All uploads, for a plan with few."""
        return in_progress(Q(pk__in=self.few or ()) & self.all_tests)


def plan_of(user: AnyUser, wanted: InventoryFilter, now: datetime | None = None) -> Plan:
    """How to find what the user may see with a filter. Several questions can have the same plan. Raises NotAllowed."""
    visible = access.inventory_condition(user)
    scopes = _scopes(user) if visible else []
    inside = _inside(*scopes[0]) if len(scopes) == 1 else []
    return Plan([*inside, *conditions_of(wanted, now or timezone.now())], visible, _places(scopes))


def in_progress(condition: Q) -> QuerySet[InventoryUpload]:
    return InventoryUpload.objects.filter(IN_PROGRESS, condition)


Scope = tuple[str, list[int]]
"""A prefix, and the ids of the buckets in which a user may see what is below it."""


def _scopes(user: AnyUser) -> list[Scope]:
    return [(scope.prefix, list(access.inventory_buckets(scope))) for scope in access.listing_scopes(user)]


def _inside(prefix: str, buckets: list[int]) -> list[Condition]:
    """What a user may see who may see one bucket, or what is below one prefix of it: as if it had been asked for."""
    if len(buckets) != 1:
        return []
    bucket = Condition("bucket", Q(bucket=buckets[0]), ("bucket_id", "bytes", "id"), is_equal=True)
    return [bucket, Condition("key", keys_below(prefix))] if prefix else [bucket]


def _places(scopes: Sequence[Scope]) -> list[Condition]:
    """What a user may see who may not see all; empty if it is in too many places to look them up."""
    if not scopes:
        return []
    whole = sorted({bucket for prefix, buckets in scopes if not prefix for bucket in buckets})
    below = {(bucket, prefix) for prefix, buckets in scopes if prefix for bucket in buckets}
    if len(whole) > FEW or len(below) > MOST_PLACES:
        return []
    found = [
        Condition("key", Q(bucket=each) & keys_below(prefix), ("bucket_id", "key", "id")) for each, prefix in below
    ]
    return [*found, Condition("bucket", Q(bucket__in=whole), ("bucket_id", "bytes", "id"))]


def _ids(alternatives: Sequence[Condition], most: int) -> list[int] | None:
    """The ids of the uploads that meet one of the conditions; None if there are more than `most`."""
    found = set[int]()
    for each in alternatives:
        rows = in_progress(each.q).order_by(*each.order)
        found.update(rows.values_list("pk", flat=True)[: most + 1])
        if len(found) > most:
            return None
    return sorted(found)


def _with_text(condition: Condition, most: int) -> list[int] | None:
    """The uploads one of whose texts has the searched part, from the indexes of these texts alone.

    An index of trigrams finds a rare part. It would read all uploads that have a common one, so the first texts are
    searched for that before.
    """
    found = set[int]()
    by_trigrams = condition.has_trigrams and has_trigram_indexes()
    for column, has_part in condition.parts_of_texts:
        rows = in_progress(Q()).order_by(column, "id")
        searched = TRIED if by_trigrams else SEARCHED
        some = [pk for (pk,) in select(PASSING, rows, has_part, searched, ("pk",), most + 1)]
        if len(found.union(some)) > most:
            return None
        if rows.values_list("pk")[searched : searched + 1]:
            if not by_trigrams:
                return None
            some = list(in_progress(has_part).order_by().values_list("pk", flat=True)[: most + 1])
        found.update(some)
        if len(found) > most:
            return None
    return sorted(found)


@cache
def has_trigram_indexes() -> bool:
    """Whether PostgreSQL has the indexes that need an extension. Looked up once in a process."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        names = connection.introspection.get_constraints(cursor, InventoryUpload._meta.db_table)
    return {"inventory_key_trigrams", "inventory_upload_id_trigrams"} <= set(names)


PASSING = "SELECT v0 FROM {} WHERE passes > 0 LIMIT %s"


# --- Candidates -------------------------------------------------------------------------------------------------------


def select(
    statement: str, rows: QuerySet[InventoryUpload], test: Q, most: int, values: Sequence[Any], *params: Any
) -> list[tuple[Any, ...]]:
    """The result of a statement over the first candidates in their order, which it names `{}`.

    They have the values as `v0`, `v1`, ..., and `passes` is 1 if they pass the test, otherwise 0. The database reads no
    more of them than the statement needs. Compare with `> 0`: PostgreSQL takes `= 1` for rare, and sorts to group.
    """
    named = {f"v{number}": F(each) if isinstance(each, str) else each for number, each in enumerate(values)}
    passes = Case(When(test, then=Value(1)), default=Value(0)) if test else Value(1)
    candidates = rows.annotate(**named, passes=passes).values_list(*named, "passes")[:most]
    try:
        inner, inner_params = candidates.query.sql_with_params()
    except EmptyResultSet:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement.format(f"({inner}) AS candidates"), [*inner_params, *params])
        return list(cursor.fetchall())
