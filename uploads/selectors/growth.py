"""The trend of hidden bytes, the buckets that grew, and what the growth costs. Of whole buckets, as `trends` is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, Min, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.domain.cost import Costs, add_costs
from uploads.domain.inventory_filter import Grouping
from uploads.domain.trends import DayTotal, Forecast, Growth, forecast, growth_in_a_week
from uploads.models import InventoryBucket, InventoryDay, InventorySum
from uploads.selectors.inventory.groups import Group
from uploads.selectors.prices import prices_of
from uploads.selectors.trends import leaders, series

AHEAD = 30
"""The days of a forecast."""

MOST_BUCKETS = 10
LEAKS = (Grouping.INITIATOR, Grouping.PREFIX)


@dataclass(frozen=True, slots=True)
class BucketGrowth:
    """A bucket on two days. `before` is None if it was not known on the first one."""

    store: str
    bucket: str
    before: int | None
    now: int
    uploads: int

    @property
    def bytes(self) -> int:
        return self.now - (self.before or 0)


@dataclass(frozen=True, slots=True)
class NewBuckets:
    """What buckets have of which the first day knew nothing: they look like growth."""

    buckets: int
    uploads: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Trend:
    """The last `length` days of all stores, or of a store or a bucket.

    `listed_at`: when the bucket was listed that was listed longest ago. What needs two days a week apart is None
    without them.
    """

    store: str
    bucket: str
    length: int
    today: date
    days: Sequence[DayTotal]
    listed_at: datetime | None
    growth: Growth | None
    cost: Costs | None
    new: NewBuckets | None
    grown: Sequence[BucketGrowth]
    forecast: Forecast | None
    leaders: Mapping[Grouping, Sequence[Group]]


def find_trend(user: AnyUser, length: int, *, store: str = "", bucket: str = "", today: date | None = None) -> Trend:
    """With a fixed number of statements. Raises NotAllowed."""
    today = today or timezone.now().date()
    days = series(user, length, store=store, bucket=bucket, today=today)
    growth, last = growth_in_a_week(days), days[-1].day if days else today
    return Trend(
        store=store,
        bucket=bucket,
        length=length,
        today=today,
        days=days,
        listed_at=listed_longest_ago(user, store=store, bucket=bucket),
        growth=growth,
        cost=cost_of_growth(user, growth, last, store=store, bucket=bucket) if growth else None,
        new=new_buckets(user, growth.since, last, store=store, bucket=bucket) if growth else None,
        grown=grown_most(user, growth.since, last, store=store, bucket=bucket) if growth else (),
        forecast=forecast(days, AHEAD),
        leaders={by: leaders(user, by, store=store, bucket=bucket) for by in LEAKS},
    )


def listed_longest_ago(user: AnyUser, *, store: str = "", bucket: str = "") -> datetime | None:
    """When the bucket was listed that was listed longest ago; None if none was. Raises NotAllowed."""
    at: datetime | None = _buckets(user, store, bucket).aggregate(at=Min("listed_at"))["at"]
    return at


def grown_most(user: AnyUser, since: date, until: date, *, store: str = "", bucket: str = "") -> Sequence[BucketGrowth]:
    """The buckets to which most bytes were added, the most first. Raises NotAllowed."""
    grown = Coalesce("after", Value(0)) - Coalesce("before", Value(0))
    rows = (
        _days(user, since, until, store, bucket)
        .values_list("bucket__store__name", "bucket__name")
        .annotate(
            before=Sum("bytes", filter=Q(day=since)),
            after=Sum("bytes", filter=Q(day=until)),
            uploads_before=Coalesce(Sum("uploads", filter=Q(day=since)), Value(0)),
            uploads_after=Coalesce(Sum("uploads", filter=Q(day=until)), Value(0)),
        )
        .annotate(grown=grown)
        .filter(Q(grown__gt=0))
        .order_by("-grown", "bucket__store__name", "bucket__name")[:MOST_BUCKETS]
    )
    return [
        BucketGrowth(store_name, name, before, after or 0, uploads_after - uploads_before)
        for store_name, name, before, after, uploads_before, uploads_after, _grown in rows
    ]


def new_buckets(user: AnyUser, since: date, until: date, *, store: str = "", bucket: str = "") -> NewBuckets:
    """Raises NotAllowed."""
    days = _days(user, since, until, store, bucket)
    rows = days.filter(day=until).exclude(bucket__in=days.filter(day=since).values("bucket"))
    found = rows.aggregate(buckets=Count("pk"), uploads=Sum("uploads"), size=Sum("bytes"))
    return NewBuckets(found["buckets"], found["uploads"] or 0, found["size"] or 0)


def cost_of_growth(user: AnyUser, growth: Growth, until: date, *, store: str = "", bucket: str = "") -> Costs:
    """In a month, with what a byte of each store costs at present, over its storage classes. Raises NotAllowed."""
    grown = (
        _days(user, growth.since, until, store, bucket)
        .values_list("bucket__store")
        .annotate(
            before=Coalesce(Sum("bytes", filter=Q(day=growth.since)), Value(0)),
            after=Coalesce(Sum("bytes", filter=Q(day=until)), Value(0)),
        )
        .order_by()
    )
    by_store = {store_id: after - before for store_id, before, after in grown if after != before}
    sums = (
        InventorySum.objects.filter(bucket__in=_buckets(user, store, bucket), bucket__store__in=by_store)
        .values_list("bucket__store", "storage_class")
        .annotate(size=Sum("bytes"))
        .order_by()
    )
    sizes: dict[int, list[tuple[int, str, int]]] = {}
    for store_id, storage_class, size in sums:
        sizes.setdefault(store_id, []).append((store_id, storage_class, size))
    prices = prices_of(access.visible_stores(user).filter(pk__in=by_store))
    found = []
    for store_id, size in by_store.items():
        present = sizes.get(store_id, [])
        whole = sum(each[2] for each in present)
        costs = prices.total(present) if whole else prices.total([(store_id, "", abs(size))])
        found.append(costs.scaled(size, whole or abs(size)))
    return add_costs(found)


def _buckets(user: AnyUser, store: str, bucket: str) -> QuerySet[InventoryBucket]:
    rows = access.whole_inventory_buckets(user).filter(gone_at__isnull=True, listed_at__isnull=False).order_by()
    return rows.filter(**_given({"store__name": store, "name": bucket}))


def _days(user: AnyUser, since: date, until: date, store: str, bucket: str) -> QuerySet[InventoryDay]:
    rows = access.visible_inventory_days(user).filter(day__in=(since, until))
    return rows.filter(**_given({"bucket__store__name": store, "bucket__name": bucket}))


def _given(places: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in places.items() if value}
