"""Indexes that have all that totals and groups need of each upload, so that the database reads no rows of the table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from uploads.models import InventoryUpload
from uploads.selectors.inventory.plan import Plan, in_progress

COVERED = 2_000_000
"""Uploads that are read from such an index."""


@dataclass(frozen=True, slots=True)
class Covering:
    """The order of an index, the columns whose conditions are a range of it, and the columns that it has."""

    order: Sequence[str]
    ranges: Sequence[str]
    has: frozenset[str]


ALL = frozenset({"parts", "bytes", "verdict", "store", "storage_class", "verdict or parts"})
"""What each of these indexes has."""

GRANTED = frozenset({"store", "bucket", "key"})
"""What tells whether a user may see an upload."""

INDEXES = (
    Covering(("bucket_id", "key", "id"), ("bucket", "key"), ALL | {"bucket", "key", "folder"}),
    Covering(("bucket_id", "bytes", "id"), ("bucket",), ALL | {"bucket", "started_at", "initiator"}),
    Covering(("initiator", "id"), ("initiator",), ALL | {"bucket", "initiator"}),
    Covering(("parts", "id"), ("parts",), ALL | {"bucket", "started_at"}),
    Covering(("started_at", "id"), ("started_at",), ALL | {"bucket", "started_at"}),
)
"""Those whose range is the rarest as a rule come first."""


def covering_for(
    plan: Plan, needed: Collection[str], order: Sequence[str]
) -> tuple[QuerySet[InventoryUpload], Q, int] | None:
    """The uploads in the order of an index that has what is needed and what is tested; None if there is no such index.

    An index with a range for a condition comes first, then the one with this order, of which all is read for users who
    may see all.
    """
    names = {each.name for each in plan.conditions}
    granted = GRANTED if plan.visible else frozenset()
    found = [each for each in INDEXES if names | set(needed) | granted <= each.has]
    best = next((each for each in found if each.ranges[0] in names), None)
    # A prefix in all buckets is one range of keys, and not one of these indexes.
    if best is None and "key" not in names and not plan.visible:
        best = next((each for each in found if tuple(each.order) == tuple(order)), None)
    if best is None:
        return None
    inside = plan.leading(best.ranges if best.ranges[0] in names else ())
    return in_progress(Q()).filter(*(each.q for each in inside)).order_by(*best.order), plan.tests(inside), COVERED
