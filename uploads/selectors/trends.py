"""The trend of hidden bytes that a user may see, and who leaves most uploads unfinished.

The rows of days are those of whole buckets: who may list only a prefix of a bucket does not see them.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.db.models import BigIntegerField, F, QuerySet, Sum
from django.db.models.functions import Cast
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import Grouping, InventoryFilter
from uploads.domain.trends import WEEK, DayTotal, Growth, growth_in_a_week
from uploads.domain.verdicts import SILENT, Verdict
from uploads.models import InventoryDay
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
    return [_total(each) for each in _sums(rows).iterator()]


def _sums(rows: QuerySet[InventoryDay]) -> QuerySet[InventoryDay, Any]:
    """One row for each day, added up by the database: a year of a thousand buckets has 365,000 rows."""
    verdicts = {
        f"{verdict.value}_{place}": Sum(Cast(F(f"by_verdict__{verdict.value}__{place}"), BigIntegerField()))
        for verdict in Verdict
        for place in (UPLOADS, BYTES)
    }
    totals = {f"all_{name}": Sum(name) for name in ("uploads", "checked", "bytes")}
    return rows.order_by("day").values("day").annotate(**totals, **verdicts)


UPLOADS, BYTES = 0, 1
"""The places of the numbers of a verdict in `by_verdict`."""


def _total(row: dict[str, Any]) -> DayTotal:
    by_verdict = {
        verdict.value: (int(row[f"{verdict.value}_{UPLOADS}"]), int(row[f"{verdict.value}_{BYTES}"]))
        for verdict in Verdict
        if row[f"{verdict.value}_{UPLOADS}"] is not None
    }
    return DayTotal(row["day"], int(row["all_uploads"]), int(row["all_bytes"]), int(row["all_checked"]), by_verdict)


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
