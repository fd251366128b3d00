"""Which index finds the uploads of a filter, so that every question reads a bounded number of rows.

If few uploads meet one of the conditions, the index of the rarest gives all of them, and they are sorted. Otherwise the
index of the order, or one that begins with a condition, gives candidates, and the other conditions are tested on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, F, Q, QuerySet, Value, When

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import InventoryFilter
from uploads.models import InventoryUpload
from uploads.models.inventory import IN_PROGRESS
from uploads.selectors.inventory.conditions import Condition, all_of, conditions_of

FEW = 5_000
"""So many uploads are sorted for a page. More are read in the order of an index."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`conditions` are those of the filter, and `visible` is what the user may see.

    `few` are the ids of all uploads that meet the rarest condition; None if there are more than `FEW`.
    """

    conditions: Sequence[Condition]
    visible: Q
    few: Sequence[int] | None

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


def plan_of(user: AnyUser, wanted: InventoryFilter, now: datetime) -> Plan:
    """Raises NotAllowed."""
    visible = access.inventory_condition(user)
    conditions = conditions_of(wanted, now)
    return Plan(conditions, visible, _few([*conditions, *_of_grants(user, visible)]))


def in_progress(condition: Q) -> QuerySet[InventoryUpload]:
    return InventoryUpload.objects.filter(IN_PROGRESS, condition)


def _of_grants(user: AnyUser, visible: Q) -> list[Condition]:
    """The buckets of a user who may not see all."""
    if not visible:
        return []
    buckets = list(access.visible_inventory_buckets(user).order_by("pk").values_list("pk", flat=True)[:FEW])
    return [Condition("bucket", Q(bucket__in=buckets), ("bucket_id", "bytes", "id"))] if len(buckets) < FEW else []


def _few(conditions: Sequence[Condition]) -> Sequence[int] | None:
    """The ids that meet the condition which fewest uploads meet; None if more than `FEW` meet each."""
    found: list[int] | None = None
    for each in conditions:
        if each.order:
            ids = in_progress(each.q).order_by(*each.order).values_list("pk", flat=True)
            some = list(ids[: (FEW if found is None else len(found)) + 1])
            if len(some) <= (FEW if found is None else len(found)):
                found = some
            if found is not None and len(found) <= 100:
                break
    return found


# --- Candidates -------------------------------------------------------------------------------------------------------


def select(
    statement: str, rows: QuerySet[InventoryUpload], test: Q, most: int, values: Sequence[Any], *params: Any
) -> list[tuple[Any, ...]]:
    """The result of a statement over the first candidates in their order, which it names `{}`.

    They have the values as `v0`, `v1`, ..., and `passes` is 1 if they pass the test. The database reads no more of
    them than the statement needs.
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
