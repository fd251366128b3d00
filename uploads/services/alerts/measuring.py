"""What the rules of alerts compare with their thresholds. A few statements for each rule, from stored sums alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Min, Q, QuerySet, Sum

from uploads.domain.alerts import Measured, What, growth_per_day, with_sample
from uploads.models import AlertRule, InventoryBucket, InventorySum, Scan, Store
from uploads.selectors.prices import prices_of
from uploads.services.inventory.scans.schedule import overdue_scans

HOUR_SECONDS = 3600


def measure(rule: AlertRule, now: datetime) -> Measured | None:
    """None if nothing was scanned yet. A rule about growth gets the sample of this day, which is not saved."""
    return _MEASURES[What(rule.what)](rule, now)


def _stores(rule: AlertRule) -> QuerySet[Store]:
    rows = Store.objects.filter(enabled=True)
    return rows if rule.store_id is None else rows.filter(pk=rule.store_id)


def _buckets(rule: AlertRule) -> QuerySet[InventoryBucket]:
    rows = InventoryBucket.objects.filter(store__in=_stores(rule), gone_at__isnull=True).order_by()
    return rows.filter(name=rule.bucket) if rule.bucket else rows


def _coverage(rule: AlertRule) -> bool | None:
    """Whether all buckets were listed and none failed last; None if no bucket was ever listed."""
    listed = Count("pk", filter=Q(listed_at__isnull=False))
    complete = Count("pk", filter=Q(listed_at__isnull=False, error_code=""))
    found = _buckets(rule).aggregate(all=Count("pk"), listed=listed, complete=complete)
    return found["complete"] == found["all"] if found["listed"] else None


def _sums(rule: AlertRule) -> QuerySet[InventorySum]:
    rows = InventorySum.objects.filter(bucket__in=_buckets(rule)).order_by()
    return rows.filter(verdict=rule.verdict) if rule.verdict else rows


def _uploads(rule: AlertRule, _now: datetime) -> Measured | None:
    covered = _coverage(rule)
    if covered is None:
        return None
    return Measured(Decimal(_sums(rule).aggregate(found=Sum("uploads"))["found"] or 0), covered)


def _bytes(rule: AlertRule, _now: datetime) -> Measured | None:
    covered = _coverage(rule)
    if covered is None:
        return None
    found = _sums(rule).aggregate(size=Sum("bytes"), uploads=Sum("uploads"), checked=Sum("checked"))
    return Measured(Decimal(found["size"] or 0), covered and found["uploads"] == found["checked"])


def _cost(rule: AlertRule, _now: datetime) -> Measured | None:
    """In the currency of the rule; what has another one, or no price, makes the value a lower bound."""
    covered = _coverage(rule)
    if covered is None:
        return None
    prices = prices_of(_stores(rule))
    fields = ("bucket__store", "storage_class")
    rows = list(
        _sums(rule).values_list(*fields).annotate(size=Sum("bytes"), uploads=Sum("uploads"), checked=Sum("checked"))
    )
    costs = prices.total((store, name, size) for store, name, size, _, _ in rows)
    own = [each.amount for each in costs.amounts if each.currency == rule.currency]
    known = all(uploads == checked for *_, uploads, checked in rows)
    is_whole = covered and known and not costs.unpriced_bytes and len(own) == len(costs.amounts)
    return Measured(sum(own, Decimal(0)), is_whole)


def _growth(rule: AlertRule, now: datetime) -> Measured | None:
    """Bytes that become known later would look like growth, so only whole values count."""
    measured = _bytes(rule, now)
    if measured is None or not measured.is_complete:
        return None
    size, today = int(measured.value), now.date()
    grown = growth_per_day(rule.sampled, today, size)
    rule.samples = [(day.isoformat(), known) for day, known in with_sample(rule.sampled, today, size)]
    return None if grown is None else Measured(grown)


def _failed(rule: AlertRule, _now: datetime) -> Measured | None:
    """The buckets that could not be listed last, and the stores whose buckets could not."""
    stores = list(_stores(rule))
    last = [Scan.objects.filter(store=each, finished_at__isnull=False).first() for each in stores]
    if not any(last):
        return None
    buckets = _buckets(rule).exclude(error_code="").count()
    return Measured(Decimal(buckets + sum(bool(each and each.error_code) for each in last)))


def _overdue(rule: AlertRule, now: datetime) -> Measured | None:
    """Hours since the bucket that was listed longest ago was listed, or since a scan by schedule should have ended.

    Only the latter knows of a store that was never scanned. A schedule is about a whole store.
    """
    oldest = _buckets(rule).aggregate(at=Min("listed_at"))["at"]
    since = [] if oldest is None else [oldest]
    if not rule.bucket:
        since += [each.since for each in overdue_scans(now) if rule.store_id in (None, each.store.pk)]
    if not since:
        return None
    return Measured(Decimal(max(0, int((now - min(since)).total_seconds()))) / HOUR_SECONDS)


_MEASURES = {
    What.BYTES: _bytes,
    What.UPLOADS: _uploads,
    What.COST: _cost,
    What.GROWTH: _growth,
    What.SCAN_FAILED: _failed,
    What.SCAN_OVERDUE: _overdue,
}
