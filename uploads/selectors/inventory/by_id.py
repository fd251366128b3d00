"""All uploads of a filter in the order of their ids, a bounded number at a time, whatever else is done in between."""

from __future__ import annotations

from django.db.models import Q

from uploads.selectors.inventory.plan import PASSING, Plan, in_progress, select

LOOKED_AT = 10_000
"""Uploads that are tested at a time, if many may meet the filter."""


def next_by_id(plan: Plan, after: int, limit: int) -> tuple[list[int], int | None]:
    """At most so many ids above `after`, and the id after which to go on; None at the end.

    Few uploads are found by an index. Of many, each is read once: an index of a condition has them in another order,
    and would be read and sorted as a whole each time.
    """
    if plan.few is not None:
        rows = plan.rows().filter(pk__gt=after).order_by("pk")
        ids = list(rows.values_list("pk", flat=True)[:limit])
        return ids, ids[-1] if len(ids) == limit else None
    candidates = in_progress(Q(pk__gt=after)).order_by("pk")
    ids = [pk for (pk,) in select(PASSING, candidates, plan.all_tests, LOOKED_AT, ("pk",), limit)]
    if len(ids) == limit:
        return ids, ids[-1]
    return ids, next(iter(candidates.values_list("pk", flat=True)[LOOKED_AT - 1 : LOOKED_AT]), None)
