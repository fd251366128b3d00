"""Exports of the inventory use as much memory for many uploads as for few."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import pytest
from django.contrib.auth.models import User
from django.db.models.signals import post_init
from django.test import Client
from django.urls import reverse

from dashboard.inventory.serializers import BATCH
from tests.on_postgresql import run_again
from tests.services.inventory.rows import fill
from tests.stores.postgresql import Cluster
from uploads.models import InventoryUpload
from uploads.selectors.inventory import page

pytestmark = pytest.mark.django_db

COUNT = 3000


@pytest.fixture
def admin_client(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(page, "BATCH", 100)
    client.force_login(User.objects.create_user("ada", is_staff=True))
    fill(COUNT, stores=2, buckets=3)
    return client


def exported(client: Client, **query: str) -> tuple[int, int]:
    """The lines of an export, and the most memory in bytes that it used."""
    gc.collect()
    tracemalloc.start()
    try:
        response = client.get(reverse("inventory"), query)
        assert response.streaming
        lines = sum(chunk.count(b"\n") for chunk in response)
        return lines, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_of_all_uploads_needs_no_more_memory_than_that_of_a_bucket(admin_client: Client, form: str) -> None:
    few = {"format": form, "store": "store-1", "bucket": "bucket-2"}
    exported(admin_client, **few)
    lines, small = exported(admin_client, **few)
    assert 100 < lines < 600
    lines, large = exported(admin_client, format=form)
    assert lines >= InventoryUpload.objects.count() == COUNT
    assert large < 2 * small


def test_an_export_holds_few_uploads_at_a_time(admin_client: Client) -> None:
    """Those of a batch of the database, and those whose reasons are looked up together."""
    alive, most = 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def made(instance: InventoryUpload, **_: object) -> None:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        weakref.finalize(instance, gone)

    post_init.connect(made, sender=InventoryUpload)
    try:
        lines = sum(1 for _chunk in admin_client.get(reverse("inventory"), {"format": "jsonl"}))
    finally:
        post_init.disconnect(made, sender=InventoryUpload)
    assert lines == COUNT
    assert 0 < most <= 2 * BATCH + 2 * page.BATCH + 10 < COUNT / 2


def test_on_postgresql(postgresql_cluster: Cluster) -> None:
    run_again(__file__, postgresql_cluster)
