"""Scans as JSON: the same facts as their pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from dashboard.shared import jsonapi
from dashboard.shared.messages import error_json
from uploads.models import BucketScan, Scan
from uploads.selectors.scans import ScanProgress


def scans_json(scans: Sequence[tuple[Scan, ScanProgress]], older: str) -> dict[str, Any]:
    return {"scans": [scan_facts(scan, progress) for scan, progress in scans], "next": older or None}


def scan_json(scan: Scan, progress: ScanProgress, buckets: Sequence[BucketScan]) -> dict[str, Any]:
    return scan_facts(scan, progress) | {"Buckets": [bucket_json(each) for each in buckets]}


def scan_facts(scan: Scan, progress: ScanProgress) -> dict[str, Any]:
    rate, remaining = progress.rate, progress.remaining_seconds
    return {
        "id": str(scan.pk),
        "url": reverse("scan", args=[scan.pk]),
        "store": scan.store.name,
        "state": progress.state,
        "origin": scan.origin,
        "actor": scan.actor.get_username() if scan.actor else None,
        "places": [{"Bucket": bucket, "Prefix": prefix} for bucket, prefix in scan.places],
        "created": jsonapi.iso(scan.created_at),
        "listed": jsonapi.iso(scan.listed_at),
        "finished": jsonapi.iso(scan.finished_at),
        "buckets": {
            "count": progress.buckets,
            "listed": progress.listed_buckets,
            "failed": progress.failed_buckets,
        },
        "uploads": {
            "listed": progress.listed,
            "to_check": progress.to_check,
            "checked": progress.checked,
            "refused": progress.refused,
        },
        "requests": progress.requests,
        "uploads_per_second": None if rate is None else round(rate, 1),
        "remaining_seconds": None if remaining is None else round(remaining),
        "error": error_json(scan.error),
    }


def bucket_json(row: BucketScan) -> dict[str, Any]:
    return {
        "Bucket": row.bucket.name,
        "Prefix": row.prefix,
        "state": row.state,
        "uploads": {
            "listed": row.listed,
            "to_check": row.to_check,
            "checked": row.checked,
            "refused": row.refused,
        },
        "requests": row.requests,
        "listed": jsonapi.iso(row.listed_at),
        "finished": jsonapi.iso(row.finished_at),
        "error": error_json(row.error),
    }
