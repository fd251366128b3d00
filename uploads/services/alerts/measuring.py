"""What the rules of alerts compare with their thresholds. A few statements for each rule, from stored sums alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery, Sum

from uploads.domain.alerts import Measured, What, growth_per_day, with_sample
from uploads.domain.cost import Costs
from uploads.models import AlertRule, InventoryBucket, InventorySum, Scan, Store
from uploads.problems import Code, Problem
from uploads.selectors.prices import prices_of
from uploads.services.inventory.scans.schedule import overdue_scans

HOUR_SECONDS = 3600
NOTHING_SCANNED = Problem(Code.ALERT_NOTHING_SCANNED)


def measure(rule: AlertRule, now: datetime) -> Measured:
    """The value of a rule, and what of it is not known. A rule about growth gets the sample of this day, unsaved."""
    if rule.store is not None and not rule.store.enabled:
        return Measured(None, Problem(Code.ALERT_STORE_DISABLED, store=rule.store.name))
    return _MEASURES[What(rule.what)](rule, now)


def _stores(rule: AlertRule) -> QuerySet[Store]:
    rows = Store.objects.filter(enabled=True)
    return rows if rule.store_id is None else rows.filter(pk=rule.store_id)


def _buckets(rule: AlertRule) -> QuerySet[InventoryBucket]:
    rows = InventoryBucket.objects.filter(store__in=_stores(rule), gone_at__isnull=True).order_by()
    return rows.filter(name=rule.bucket) if rule.bucket else rows


def _unlisted(rule: AlertRule) -> Problem | None:
    """What is missing if not all buckets were listed, or some could not be listed last."""
    listed = Count("pk", filter=Q(listed_at__isnull=False))
    complete = Count("pk", filter=Q(listed_at__isnull=False, error_code=""))
    found = _buckets(rule).aggregate(all=Count("pk"), listed=listed, complete=complete)
    if not found["listed"]:
        return NOTHING_SCANNED
    without = found["all"] - found["complete"]
    return Problem(Code.ALERT_BUCKETS_NOT_LISTED, buckets=without) if without else None


def _sums(rule: AlertRule) -> QuerySet[InventorySum]:
    rows = InventorySum.objects.filter(bucket__in=_buckets(rule)).order_by()
    return rows.filter(verdict=rule.verdict) if rule.verdict else rows


def _uploads(rule: AlertRule, _now: datetime) -> Measured:
    missing = _unlisted(rule)
    if missing == NOTHING_SCANNED:
        return Measured(None, missing)
    return Measured(Decimal(_sums(rule).aggregate(found=Sum("uploads"))["found"] or 0), missing)


def _bytes(rule: AlertRule, _now: datetime) -> Measured:
    missing = _unlisted(rule)
    if missing == NOTHING_SCANNED:
        return Measured(None, missing)
    found = _sums(rule).aggregate(size=Sum("bytes"), uploads=Sum("uploads"), checked=Sum("checked"))
    unknown = (found["uploads"] or 0) - (found["checked"] or 0)
    return Measured(Decimal(found["size"] or 0), missing or _unread(unknown))


def _unread(uploads: int) -> Problem | None:
    return Problem(Code.ALERT_BYTES_NOT_KNOWN, uploads=uploads) if uploads else None


def _cost(rule: AlertRule, _now: datetime) -> Measured:
    """In the currency of the rule. What has another one, or no price, is missing."""
    missing = _unlisted(rule)
    if missing == NOTHING_SCANNED:
        return Measured(None, missing)
    rows = list(
        _sums(rule)
        .values_list("bucket__store", "storage_class")
        .annotate(size=Sum("bytes"), uploads=Sum("uploads"), checked=Sum("checked"))
    )
    costs = prices_of(_stores(rule)).total((store, name, size) for store, name, size, _, _ in rows)
    own = [each.amount for each in costs.amounts if each.currency == rule.currency]
    missing = _unpriced(rule, costs) or missing or _unread(sum(uploads - checked for *_, uploads, checked in rows))
    return Measured(sum(own, Decimal(0)), missing)


def _unpriced(rule: AlertRule, costs: Costs) -> Problem | None:
    if costs.unpriced_bytes:
        return Problem(Code.ALERT_WITHOUT_PRICE, currency=rule.currency, unpriced_bytes=costs.unpriced_bytes)
    others = tuple(each.currency for each in costs.amounts if each.currency != rule.currency and each.amount)
    return Problem(Code.ALERT_IN_OTHER_CURRENCIES, currency=rule.currency, others=others) if others else None


def _growth(rule: AlertRule, now: datetime) -> Measured:
    """Bytes that become known later would look like growth, so only whole values count."""
    measured = _bytes(rule, now)
    if measured.value is None or measured.missing is not None:
        return Measured(None, measured.missing)
    size, today = int(measured.value), now.date()
    grown = growth_per_day(rule.sampled, today, size)
    rule.samples = [(day.isoformat(), known) for day, known in with_sample(rule.sampled, today, size)]
    return Measured(grown, Problem(Code.ALERT_NEEDS_TWO_DAYS) if grown is None else None)


def _failed(rule: AlertRule, _now: datetime) -> Measured:
    """The buckets that could not be listed last, and the stores whose buckets the last scan of all could not list."""
    ended = Scan.objects.filter(store=OuterRef("pk"), places=[], finished_at__isnull=False).order_by("-created_at")
    last = _stores(rule).order_by().annotate(code=Subquery(ended.values("error_code")[:1]))
    found = last.aggregate(scanned=Count("code"), failed=Count("pk", filter=~Q(code="")))
    buckets = _buckets(rule).exclude(error_code="").count()
    if not (found["scanned"] or buckets or _buckets(rule).filter(listed_at__isnull=False).exists()):
        return Measured(None, NOTHING_SCANNED)
    return Measured(Decimal(buckets + found["failed"]))


def _overdue(rule: AlertRule, now: datetime) -> Measured:
    """Hours since the bucket that was listed longest ago was listed, or since a scan by schedule should have ended.

    Only the latter knows of a store that was never scanned. A schedule is about a whole store.
    """
    oldest = _buckets(rule).aggregate(at=Min("listed_at"))["at"]
    since = [] if oldest is None else [oldest]
    if not rule.bucket:
        since += [each.since for each in overdue_scans(now) if rule.store_id in (None, each.store.pk)]
    if not since:
        return Measured(None, NOTHING_SCANNED)
    return Measured(Decimal(max(0, int((now - min(since)).total_seconds()))) / HOUR_SECONDS)


_MEASURES = {
    What.BYTES: _bytes,
    What.UPLOADS: _uploads,
    What.COST: _cost,
    What.GROWTH: _growth,
    What.SCAN_FAILED: _failed,
    What.SCAN_OVERDUE: _overdue,
}
