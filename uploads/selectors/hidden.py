"""What the overview says about hidden bytes: uploads in progress by verdict, and what waits for a decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q, Sum
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Action
from uploads.domain.states import SweepState
from uploads.models import Alert, Sweep
from uploads.selectors.inventory.plan import in_progress, plan_of, select
from uploads.selectors.inventory.totals import COUNTED, IS_EMPTY, candidates

Sizes = list[tuple[int, str, int]]
"""Bytes with their store and storage class, which have one price."""


@dataclass(slots=True)
class Count:
    """`bytes` are those of the `known` uploads, `empty` are those without parts."""

    uploads: int = 0
    known: int = 0
    bytes: int = 0
    empty: int = 0
    sizes: Sizes = field(default_factory=list)

    def add(self, row: Row) -> None:
        store_id, storage_class, _verdict, uploads, known, size, empty = row
        self.uploads += uploads
        self.known += known
        self.bytes += int(size)
        self.empty += empty
        self.sizes.append((store_id, storage_class, int(size)))


Row = tuple[int, str, str, int, int, int, int]
"""The store, the storage class, the verdict, the uploads, those with known bytes, the bytes, those without parts."""


@dataclass(slots=True)
class Hidden:
    """All uploads in progress that the user may see. `is_least`: more than were counted.

    `is_part`: of some bucket the user may see only a part, for which there are no stored sums and no days.
    """

    total: Count = field(default_factory=Count)
    by_verdict: dict[str, Count] = field(default_factory=dict)
    is_part: bool = False
    is_least: bool = False


def hidden(user: AnyUser, now: datetime | None = None) -> Hidden:
    """From the stored sums; from the uploads themselves for a user who sees only a part of some bucket.

    Raises NotAllowed.
    """
    sums = access.visible_inventory_sums(user)
    if sums is None:
        return _counted(user, now or timezone.now())
    grouped = sums.values_list("bucket__store", "storage_class", "verdict").order_by("bucket__store", "storage_class")
    rows = grouped.annotate(n=Sum("uploads"), k=Sum("checked"), b=Sum("bytes"), e=Sum("empty"))
    return _added(Hidden(), rows)


GROUPED = (
    "SELECT v0, v1, v2, COUNT(*), COUNT(v3), COALESCE(SUM(v3), 0), SUM(v4) FROM {} WHERE passes > 0"
    " GROUP BY v0, v1, v2 ORDER BY v0, v1, v2"
)
VALUES = ("store_id", "storage_class", "verdict", "bytes", IS_EMPTY)


def _counted(user: AnyUser, now: datetime) -> Hidden:
    plan = plan_of(user, InventoryFilter(), now)
    if plan.few is not None:
        rows, test, most = in_progress(Q(pk__in=plan.few)), plan.all_tests, len(plan.few) + 1
    else:
        (rows, test), most = candidates(plan), COUNTED
    is_least = plan.few is None and bool(rows.values_list("pk")[most : most + 1])
    found = select(GROUPED, rows, test, most, VALUES)
    return _added(Hidden(is_part=True, is_least=is_least), [_row(each) for each in found])


def _row(values: tuple[object, ...]) -> Row:
    store_id, storage_class, verdict, *numbers = values
    uploads, known, size, empty = (int(str(number)) for number in numbers)
    return int(str(store_id)), str(storage_class), str(verdict), uploads, known, size, empty


def _added(found: Hidden, rows: Iterable[Row]) -> Hidden:
    for row in rows:
        found.total.add(row)
        found.by_verdict.setdefault(row[2], Count()).add(row)
    return found


# --- What waits for somebody ------------------------------------------------------------------------------------------


def sweeps_to_approve(user: AnyUser, limit: int) -> Sequence[Sweep]:
    """The plans that wait for approval and that the user may approve, the oldest first."""
    if not access.may(user, Action.APPROVE_SWEEPS):
        return []
    planned = access.sweeps_to_see(user).filter(state=SweepState.PLANNED).order_by("created_at", "pk")
    return [sweep for sweep in planned[:limit] if access.may_approve_sweep(user, sweep)]


def active_alerts(user: AnyUser, limit: int) -> Sequence[Alert]:
    """The newest first; none for a user who may not see alerts."""
    if not access.may(user, Action.MANAGE_ALERTS):
        return []
    return list(access.alerts_to_see(user).filter(ended_at__isnull=True).order_by("-started_at")[:limit])
