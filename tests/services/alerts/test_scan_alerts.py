"""Alerts about scans that failed or are overdue, with the real engine and a real store."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.db.models import Count
from django.utils import timezone

from tests.services.inventory.scanning import scan, work_off
from uploads.domain.alerts import What
from uploads.models import Alert, InventoryBucket, InventorySettings, InventoryUpload, Scan, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.alerts.evaluating import evaluate
from uploads.services.alerts.rules import RuleValues, save_rule
from uploads.services.inventory.scans.schedule import request_due_scans
from uploads.services.inventory.sums import compute_sums
from uploads.services.upkeep.inventory_metrics import inventory


def active() -> list[str]:
    return list(Alert.objects.filter(ended_at=None).values_list("rule__name", flat=True))


def test_scan_that_failed(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    whole = save_rule(None, RuleValues("whole", What.SCAN_FAILED, Decimal(0), store=store))
    of_bucket = save_rule(None, RuleValues("bucket", What.SCAN_FAILED, Decimal(0), store=store, bucket=bucket))

    def evaluated() -> list[str]:
        for rule in (whole, of_bucket):
            evaluate(rule.pk, timezone.now())
        return sorted(active())

    scan(store, [(bucket, "")])
    assert evaluated() == []
    secret = store.secret_key
    store.secret_key = "wrong"
    store.save()
    assert scan(store).error_code
    assert evaluated() == ["bucket", "whole"], "neither the buckets nor this bucket could be listed"
    store.secret_key = secret
    store.save()
    scan(store)
    assert evaluated() == []
    assert Alert.objects.count() == 2


def test_metrics_are_what_a_scan_has_written(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    for key in ("a", "b/c", "ü"):
        client.create_multipart_upload(bucket, key)
    scan(store, [(bucket, "")])
    compute_sums(InventoryBucket.objects.get(name=bucket).pk)
    rows = InventoryUpload.objects.filter(ended_at__isnull=True).order_by("verdict").values_list("verdict")
    counted = dict(rows.annotate(count=Count("pk")))
    found = {metric.name: metric.samples for metric in inventory()}
    uploads = {sample.labels["verdict"]: sample.value for sample in found["partway_inventory_uploads"]}
    assert uploads == counted
    assert sum(uploads.values()) == 3
    assert {sample.labels["bucket"] for sample in found["partway_inventory_bytes"]} == {bucket}
    assert 0 <= found["partway_inventory_scan_age_seconds"][0].value < 600


def test_scan_that_is_overdue(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    rule = save_rule(None, RuleValues("overdue", What.SCAN_OVERDUE, Decimal("0.5"), store=store))
    InventorySettings.objects.create(store=store, schedule="hourly", requests_per_second=100_000)
    now = timezone.now()
    request_due_scans()
    evaluate(rule.pk, now)
    assert active() == [], "it was requested just now"
    evaluate(rule.pk, now + timedelta(hours=3))
    assert active() == ["overdue"], "no scanner has done it"
    work_off(Scan.objects.get())
    evaluate(rule.pk, timezone.now())
    assert active() == []
