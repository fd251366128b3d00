"""A plan of a sweep among many uploads: each task reads a bounded number of them, and no upload is read twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.grants import make_operator
from tests.services.inventory.plans import plan_of
from tests.services.inventory.rows import fill
from tests.services.sweeps.make import planned
from uploads.domain.inventory_filter import InventoryFilter
from uploads.models import InventoryUpload, SweepItem
from uploads.selectors.inventory import by_id, plan
from uploads.services.sweeps import plan as planning

pytestmark = pytest.mark.django_db

RULES = (
    InventoryFilter(verdicts=("dead",)),
    InventoryFilter(verdicts=("dead",), store="store-1", bucket="bucket-1"),
    InventoryFilter(verdicts=("dead",), prefix="logs/", min_parts=1),
    InventoryFilter(verdicts=("dead",), initiator="rare"),
    InventoryFilter(verdicts=("dead",), initiator="nobody"),
)


@pytest.fixture
def olga() -> User:
    return make_operator("olga")


@pytest.mark.parametrize("few", [5, 5000])
def test_every_upload_of_the_rule_is_planned_once(olga: User, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    fill(400, stores=2, buckets=3)
    now = timezone.now()
    InventoryUpload.objects.update(parts=1, bytes=1, checked_at=now, last_part_at=now - timedelta(days=60))
    monkeypatch.setattr(plan, "FEW", few)
    monkeypatch.setattr(by_id, "LOOKED_AT", 50)
    monkeypatch.setattr(planning, "BATCH", 7)
    for rule in RULES:
        with CaptureQueriesContext(connection) as captured:
            sweep = planned(olga, rule)
        items = list(SweepItem.objects.filter(sweep=sweep).order_by("number").values_list("upload_row", flat=True))
        expected = InventoryUpload.objects.filter(key__startswith=rule.prefix)
        if rule.initiator:
            expected = expected.filter(initiator=rule.initiator)
        if rule.bucket:
            expected = expected.filter(store__name=rule.store, bucket__name=rule.bucket)
        assert items == list(expected.order_by("pk").values_list("pk", flat=True)), rule
        assert sweep.uploads == len(items)
        for query in captured.captured_queries:
            if query["sql"].startswith("SELECT v0 FROM"):
                assert "SCAN uploads_inventoryupload" not in plan_of(query["sql"]), query["sql"]
