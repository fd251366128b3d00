"""The metrics of the inventory, from stored sums: a fixed number of statements, and a bounded number of lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import F, Min, OuterRef, Subquery, Sum, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from uploads.models import InventoryBucket, InventorySum, Scan, Store

MAX_BUCKETS = 50
"""Buckets of each store that have lines of their own: those with the most bytes, then with the most uploads."""

OTHER = "(other)"
"""The label of the others. No bucket has this name: parentheses are not allowed in it."""


def inventory() -> list[Metric]:
    names = dict(Store.objects.filter(enabled=True).values_list("pk", "name"))
    return [*_sums(names), *_scans(names)]


def _sums(names: dict[int, str]) -> Iterable[Metric]:
    shown = _largest(names)
    uploads: dict[tuple[str, str, str], int] = defaultdict(int)
    sizes: dict[tuple[str, str, str], int] = defaultdict(int)
    rows = InventorySum.objects.filter(bucket__store__in=names, bucket__gone_at__isnull=True).order_by()
    fields = ("bucket_id", "bucket__store_id", "bucket__name", "verdict")
    found = rows.values_list(*fields).annotate(count=Sum("uploads"), size=Sum("bytes"))
    for bucket, store, name, verdict, count, size in found.iterator(chunk_size=2000):
        labels = (names[store], name if bucket in shown else OTHER, verdict)
        uploads[labels] += count
        sizes[labels] += size
    columns = ["store", "bucket", "verdict"]
    yield _filled(
        GaugeMetricFamily("partway_inventory_uploads", "Uploads that scans have found.", labels=columns),
        uploads,
    )
    yield _filled(GaugeMetricFamily("partway_inventory_bytes", "Known bytes of their parts.", labels=columns), sizes)


def _largest(names: dict[int, str]) -> set[int]:
    totals = (
        InventoryBucket.objects.filter(store__in=names, gone_at__isnull=True)
        .order_by()
        .annotate(size=Sum("sums__bytes"), count=Sum("sums__uploads"))
        .filter(count__gt=0)
    )
    place = Window(RowNumber(), partition_by=F("store_id"), order_by=[F("size").desc(), F("count").desc(), F("pk")])
    return set(totals.annotate(place=place).filter(place__lte=MAX_BUCKETS).values_list("pk", flat=True))


def _filled(family: GaugeMetricFamily, values: dict[tuple[str, str, str], int]) -> Metric:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _scans(names: dict[int, str]) -> Iterable[Metric]:
    age = GaugeMetricFamily(
        "partway_inventory_scan_age_seconds", "Since the bucket listed longest ago was listed.", labels=["store"]
    )
    duration = GaugeMetricFamily(
        "partway_inventory_scan_duration_seconds", "Of the last scan that has ended.", labels=["store"]
    )
    now = timezone.now()
    listed = InventoryBucket.objects.filter(store__in=names, gone_at__isnull=True, listed_at__isnull=False).order_by()
    for store, at in listed.values_list("store").annotate(at=Min("listed_at")):
        age.add_metric([names[store]], max(0.0, (now - at).total_seconds()))
    ended = Scan.objects.filter(store=OuterRef("pk"), finished_at__isnull=False).order_by("-created_at")
    last = Scan.objects.filter(
        pk__in=Store.objects.filter(pk__in=names).annotate(s=Subquery(ended.values("pk")[:1])).values("s")
    )
    for store, created, finished in last.values_list("store_id", "created_at", "finished_at"):
        if finished is not None:
            duration.add_metric([names[store]], max(0.0, (finished - created).total_seconds()))
    yield age
    yield duration
