"""The bytes of each verdict: by age from an index, by store or bucket from the stored sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F, Q, Sum
from django.utils import timezone

from uploads.access import AnyUser
from uploads.domain.inventory_filter import EMPTY, Grouping, InventoryFilter
from uploads.selectors.inventory.groups import AGES, read_of, what_is_common
from uploads.selectors.inventory.plan import Plan, in_progress, plan_of, select
from uploads.selectors.inventory.totals import sums_of

MOST_PLACES = 5
"""Stores or buckets of a chart, those with the most bytes. The others are together."""

BY_VERDICT = "SELECT v0, v1, COALESCE(SUM(v2), 0) FROM {} WHERE passes > 0 GROUP BY v0, v1 ORDER BY v0, v1"

Sizes = dict[str, int]
"""Bytes by verdict."""


def bytes_by_age(
    user: AnyUser, wanted: InventoryFilter, now: datetime | None = None, plan: Plan | None = None
) -> list[tuple[timedelta | None, timedelta | None, Sizes]]:
    """For each group by age, youngest first: its limits, and the bytes of its verdicts. Raises NotAllowed."""
    now = now or timezone.now()
    plan = plan or plan_of(user, wanted, now)
    rows, test, most = read_of(plan, Grouping.AGE)
    if plan.few is not None:
        rows, test, most = in_progress(Q(pk__in=plan.few)), plan.all_tests, len(plan.few) + 1
    values = (what_is_common(Grouping.AGE, wanted.prefix, 1, now), "verdict", "bytes")
    found: list[Sizes] = [{} for _number in range(len(AGES) + 1)]
    for number, verdict, size in select(BY_VERDICT, rows, test, most, values):
        found[number][verdict] = int(size)
    limits: Sequence[timedelta | None] = (None, *AGES, None)
    return [(limits[number], limits[number + 1], sizes) for number, sizes in enumerate(found)]


def bytes_by_place(user: AnyUser, wanted: InventoryFilter) -> list[tuple[str, Sizes]]:
    """For the buckets of the store of the filter, or for all stores, the largest first; the rest has no name.

    Raises NotAllowed. Empty if the stored sums do not suffice: the filter or the grants of the user are finer.
    """
    sums = None if EMPTY in wanted.verdicts else sums_of(user, wanted)
    if sums is None:
        return []
    name = "bucket__name" if wanted.store else "bucket__store__name"
    found: dict[str, Sizes] = {}
    grouped = sums.annotate(place=F(name)).values_list("place", "verdict").annotate(size=Sum("bytes"))
    for place, verdict, size in grouped.order_by("place", "verdict"):
        found.setdefault(place, {})[verdict] = int(size)
    largest = sorted(found.items(), key=lambda each: (-sum(each[1].values()), each[0]))
    rest: Sizes = {}
    for _name, sizes in largest[MOST_PLACES:]:
        for verdict, size in sizes.items():
            rest[verdict] = rest.get(verdict, 0) + size
    return [*largest[:MOST_PLACES], *([("", rest)] if rest else [])]
