"""The trend of hidden bytes that a user may see, and who leaves most uploads unfinished.

The rows of days are those of whole buckets: who may list only a prefix of a bucket does not see them.
"""

from __future__ import annotations

from datetime import date, timedelta

from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import Grouping, InventoryFilter
from uploads.domain.trends import WEEK, DayTotal, Growth, growth_in_a_week
from uploads.domain.verdicts import SILENT
from uploads.selectors.inventory.groups import Group, groups

DAYS = (30, 90, 365)
"""The lengths of a series that pages offer."""

LEADERS = 10


def series(user: AnyUser, days: int, *, store: str = "", bucket: str = "", today: date | None = None) -> list[DayTotal]:
    """The totals of the last days, today included, in order. A day without rows is left out: it is not known.

    Raises NotAllowed.
    """
    since = (today or timezone.now().date()) - timedelta(days=days - 1)
    rows = access.visible_inventory_days(user).filter(day__gte=since)
    if store:
        rows = rows.filter(bucket__store__name=store)
    if bucket:
        rows = rows.filter(bucket__name=bucket)
    found: dict[date, _Sum] = {}
    columns = rows.order_by("day").values_list("day", "uploads", "checked", "bytes", "by_verdict")
    for day, uploads, checked, size, by_verdict in columns.iterator():
        found.setdefault(day, _Sum()).add(uploads, checked, size, by_verdict)
    return [each.total(day) for day, each in found.items()]


class _Sum:
    """The rows of one day together."""

    def __init__(self) -> None:
        self.uploads = self.checked = self.bytes = 0
        self.by_verdict: dict[str, tuple[int, int]] = {}

    def add(self, uploads: int, checked: int, size: int, by_verdict: dict[str, list[int]]) -> None:
        self.uploads += uploads
        self.checked += checked
        self.bytes += size
        for verdict, (count, known) in by_verdict.items():
            before = self.by_verdict.get(verdict, (0, 0))
            self.by_verdict[verdict] = before[0] + count, before[1] + known

    def total(self, day: date) -> DayTotal:
        return DayTotal(day, self.uploads, self.bytes, self.checked, self.by_verdict)


def growth_since_last_week(user: AnyUser, *, store: str = "", bucket: str = "") -> Growth | None:
    """None if one of the two days has no row. Raises NotAllowed."""
    return growth_in_a_week(series(user, WEEK + 1, store=store, bucket=bucket))


def leaders(user: AnyUser, by: Grouping, *, store: str = "", bucket: str = "") -> list[Group]:
    """Who started most uploads that are not alive and were never finished: by initiator, or by first-level prefix.

    Those with the most uploads first. Raises NotAllowed.
    """
    silent = tuple(sorted(verdict.value for verdict in SILENT))
    wanted = InventoryFilter(store=store, bucket=bucket, verdicts=silent)
    return list(groups(user, wanted, by, most_uploads=True).groups[:LEADERS])
