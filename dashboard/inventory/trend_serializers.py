"""The trend as JSON. The names are part of the interface and do not change."""

from __future__ import annotations

from typing import Any

from dashboard.inventory.serializers import group_json
from dashboard.shared import jsonapi
from dashboard.shared.jsonapi import iso
from uploads.domain.trends import DayTotal, Forecast
from uploads.selectors.growth import BucketGrowth, Trend


def trend_json(found: Trend) -> dict[str, Any]:
    """A day without a total is left out. What is not known is null."""
    return {
        "store": found.store,
        "bucket": found.bucket,
        "days": [_day_json(each) for each in found.days],
        "listed_at": iso(found.listed_at),
        "growth": _growth_json(found),
        "forecast": _forecast_json(found.forecast),
        "leaders": {by.value: [group_json(each) for each in groups] for by, groups in found.leaders.items()},
    }


def _day_json(each: DayTotal) -> dict[str, Any]:
    return {
        "day": each.day.isoformat(),
        "uploads": each.uploads,
        "bytes": each.bytes,
        "bytes_known_of": each.checked,
        "by_verdict": [
            {"verdict": name, "uploads": uploads, "bytes": size}
            for name, (uploads, size) in sorted(each.by_verdict.items())
        ],
    }


def _growth_json(found: Trend) -> dict[str, Any] | None:
    growth, cost = found.growth, found.cost
    if growth is None or cost is None:
        return None
    return {
        "since": growth.since.isoformat(),
        "uploads": growth.uploads,
        "bytes": growth.bytes,
        "costs": jsonapi.costs(cost),
        "bytes_without_price": cost.unpriced_bytes,
        "buckets": [_bucket_json(each) for each in found.grown],
    }


def _bucket_json(each: BucketGrowth) -> dict[str, Any]:
    return {
        "store": each.store,
        "bucket": each.bucket,
        "before": each.before,
        "now": each.now,
        "bytes": each.bytes,
        "uploads": each.uploads,
    }


def _forecast_json(found: Forecast | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "of_days": found.days,
        "days_ahead": found.ahead,
        "bytes_per_week": found.per_week,
        "expected": found.expected,
        "low": found.low,
        "high": found.high,
    }
