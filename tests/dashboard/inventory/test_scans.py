"""The pages of scans and of a store's settings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.grants import grant
from uploads.domain.roles import Role
from uploads.domain.states import ItemState
from uploads.models import BucketScan, InventoryBucket, InventorySettings, Scan, Store
from uploads.selectors.scans import not_checked

JSON = {"Accept": "application/json"}


@pytest.fixture
def store(db: None) -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def operator(store: Store) -> User:
    user = User.objects.create(username="olga")
    grant(user, Role.STORE_ADMINISTRATOR, store=store)
    return user


@pytest.fixture
def browser(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def make_scan(store: Store, *names: str, **values: object) -> Scan:
    scan = Scan.objects.create(store=store, origin="page", **values)
    for name in names:
        bucket, _ = InventoryBucket.objects.get_or_create(store=store, name=name)
        BucketScan.objects.create(scan=scan, bucket=bucket, listed=10, to_check=8, checked=2)
    return scan


def test_scan_is_requested_shown_and_cancelled(browser: Client, store: Store) -> None:
    response = browser.post("/inventory/scans/", {"store": "s"})
    scan = Scan.objects.get()
    assert response.status_code == 303
    assert response["Location"] == f"/inventory/scans/{scan.pk}/"
    page = browser.get(response["Location"])
    assert b"Cancel the scan" in page.content
    again = browser.post("/inventory/scans/", {"store": "s"}, headers=JSON)
    assert again.status_code == 202
    assert again.json()["id"] == str(scan.pk)
    ended = browser.post(f"/inventory/scans/{scan.pk}/cancel/", headers=JSON).json()
    assert (ended["state"], ended["error"]["code"]) == ("cancelled", "ScanCancelled")


def test_pages_have_each_scan_once_active_ones_first(
    browser: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.inventory.scans.PAGE_SIZE", 2)
    now = timezone.now()
    ended = [make_scan(store, finished_at=now) for _ in range(5)]
    Scan.objects.update(created_at=now)
    active = make_scan(store, "b")
    found, query = [], ""
    while True:
        answer = browser.get(f"/inventory/scans/{query}", headers=JSON).json()
        found += [each["id"] for each in answer["scans"]]
        if not answer["next"]:
            break
        response = browser.get("/inventory/scans/", {"cursor": answer["next"]})
        assert response.status_code == 200
        query = f"?{response.request['QUERY_STRING']}"
    assert found[0] == str(active.pk)
    assert sorted(found[1:]) == sorted(str(each.pk) for each in ended)
    assert browser.get("/inventory/scans/?cursor=nonsense").status_code == 400


def test_numbers_of_hidden_buckets_are_hidden(store: Store) -> None:
    scan = make_scan(store, "mine", "theirs")
    guest = User.objects.create(username="guest")
    grant(guest, Role.VIEWER, store=store, bucket="mine")
    client = Client()
    client.force_login(guest)
    shown = client.get(f"/inventory/scans/{scan.pk}/", headers=JSON).json()
    assert [each["Bucket"] for each in shown["Buckets"]] == ["mine"]
    assert shown["uploads"]["listed"] == 10
    assert b"theirs" not in client.get(f"/inventory/scans/{scan.pk}/").content


def test_grant_for_a_bucket_scans_that_bucket(store: Store) -> None:
    guest = User.objects.create(username="guest")
    grant(guest, store=store, bucket="mine")
    client = Client()
    client.force_login(guest)
    client.post("/inventory/scans/", {"store": "s"})
    assert Scan.objects.get().places == [["mine", ""]]
    assert client.post("/inventory/scans/", {"store": "s", "bucket": "theirs"}).status_code == 404
    whole = make_scan(store, "mine", "theirs")
    assert client.post(f"/inventory/scans/{whole.pk}/cancel/").status_code == 403


def test_what_could_not_be_checked_is_named(browser: Client, operator: User, store: Store) -> None:
    assert [(each.why, each.bucket) for each in not_checked(operator).rows] == [("never", "")]
    now = timezone.now()
    listed = {"store": store, "listed_at": now - timedelta(days=1)}
    InventoryBucket.objects.create(name="good", **listed)
    InventoryBucket.objects.create(
        name="shut", error_code="AccessDenied", error_reason="permission", error_request_id="r1", **listed
    )
    InventoryBucket.objects.create(name="away", error_code="Timeout", error_reason="timeout", **listed)
    InventoryBucket.objects.create(name="old", gone_at=now, **listed)
    InventoryBucket.objects.create(name="new", store=store)
    rows = {each.bucket: each.why for each in not_checked(operator).rows}
    assert rows == {"shut": "refused", "away": "unavailable", "old": "gone", "new": "never"}
    text = browser.get("/inventory/scans/").content.decode()
    assert "AccessDenied" in text
    assert "r1" in text
    assert not_checked(operator, limit=1).more == 3


def test_progress_has_a_rate_and_the_remaining_time(browser: Client, store: Store) -> None:
    now = timezone.now()
    scan = make_scan(
        store, "b", state=ItemState.DONE.value, buckets_listed_at=now, listed_at=now - timedelta(seconds=10)
    )
    shown = browser.get(f"/inventory/scans/{scan.pk}/", headers=JSON).json()
    assert shown["state"] == "running"
    assert shown["uploads_per_second"] == pytest.approx(0.2, abs=0.1)
    assert 20 <= shown["remaining_seconds"] <= 60


def test_settings_of_a_store(browser: Client, store: Store) -> None:
    url = "/stores/s/inventory/"
    values = {"alive_hours": "12", "dead_days": "3", "schedule": "daily", "at": "04:30", "scan_weekday": "0"}
    values |= {"requests_per_second": "20", "requests_in_flight": "4"}
    assert browser.get(url).status_code == 200
    refused = browser.post(url, values | {"alive_hours": "72"})
    assert refused.status_code == 400
    assert "at most 71" in refused.content.decode()
    assert browser.post(url, values | {"dead_days": "many"}).status_code == 400
    assert not InventorySettings.objects.exists()
    assert browser.post(url, values).status_code == 303
    saved = InventorySettings.objects.get()
    assert (saved.alive_hours, saved.schedule, saved.scan_minute) == (12, "daily", 270)
    assert "next scan by schedule" in browser.get(url).content.decode()
