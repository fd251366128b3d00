"""The list of sweeps: filters, order, columns and pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.sweeps import listed
from tests.dashboard.pages import JSON, Page
from uploads.domain.states import SweepState
from uploads.models import Store, Sweep, SweepPlace


@pytest.fixture
def made(administrator: User, operator: User) -> list[Sweep]:
    """One of a store and a bucket, one of all stores whose plan has uploads of another store, and one of yesterday."""
    values = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    near, far = (Store.objects.create(name=name, **values) for name in ("near", "far"))
    first = Sweep.objects.create(author=operator, store=near, bucket="photos", rule={"store": "near"})
    second = Sweep.objects.create(author=administrator, rule={"verdicts": ["dead"]}, state=SweepState.DONE)
    SweepPlace.objects.create(sweep=second, store=far, bucket="films", uploads=1, bytes=1)
    old = Sweep.objects.create(author=administrator, rule={"verdicts": ["stalled"]}, state=SweepState.CANCELLED)
    Sweep.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=1))
    return [second, first, old]


def ids(client: Client, query: str) -> list[str]:
    return [each["id"] for each in Page(client.get(f"/sweeps/?{query}", headers=JSON)).json["sweeps"]]


def test_sweeps_are_filtered_and_sorted(administrator_client: Client, operator: User, made: list[Sweep]) -> None:
    second, first, old = made
    yesterday = (timezone.now() - timedelta(days=1)).date()
    for query, expected in {
        "": [second, first, old],
        "sort=created": [old, first, second],
        "state=done": [second],
        "store=near": [first],
        "store=far": [second],
        "store=nowhere": [],
        "bucket=films": [second],
        "bucket=photos&store=near": [first],
        f"owner={operator.username}": [first],
        f"to={yesterday}": [old],
    }.items():
        assert ids(administrator_client, query) == [str(each.pk) for each in expected], query
    assert Page(administrator_client.get("/sweeps/?state=lost")).status == 400
    assert "No sweep matches" in Page(administrator_client.get("/sweeps/?store=nowhere")).words


def test_pages_keep_the_filter(
    administrator_client: Client, made: list[Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed, "PAGE_SIZE", 1)
    page = Page(administrator_client.get("/sweeps/?sort=created"))
    following = page.href("Next page")
    assert following == "/sweeps/?sort=created&page=2"
    second = Page(administrator_client.get(following))
    assert second.href("Previous page") == "/sweeps/?sort=created&page=1"
    assert second.href("First page") == "/sweeps/?sort=created"
    assert Page(administrator_client.get("/sweeps/", headers=JSON)).json["next"] == 2


def test_columns_and_density_are_remembered(client: Client, administrator: User, made: list[Sweep]) -> None:
    client.force_login(administrator)
    saved = client.post("/lists/sweeps/", {"column": ["state"], "density": "compact", "back": "/sweeps/?store=near"})
    assert saved["Location"] == "/sweeps/?store=near"
    page = Page(client.get("/sweeps/"))
    assert [each.text for each in page.find("th", scope="col")] == ["State", "Rule"]
    assert "is-compact" in page.text
