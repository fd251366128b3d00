"""The list of all buckets with and without a rule that aborts unfinished uploads."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.grants import grant
from uploads.models import InventoryBucket, InventorySum, LifecycleState, Store

RULE = {
    "id": "a",
    "enabled": True,
    "prefix": "",
    "conditions": [],
    "since": "start",
    "days": 7,
    "before": None,
    "actions": [],
}


@pytest.fixture
def buckets(store: Store, make_store: Any) -> list[LifecycleState]:
    """Two buckets of each kind in a store with rules, and one in a store without."""
    now, kept = timezone.now(), make_store(name="kept", provider="ceph")
    common = {"read_at": now, "tried_at": now}
    kinds: dict[str, dict[str, Any]] = {
        "all": {**common, "rules": [RULE], "coverage": "all"},
        "part": {**common, "rules": [{**RULE, "prefix": "tmp/"}], "coverage": "part"},
        "none": {**common, "coverage": "none"},
        "denied": {**common, "coverage": "none", "error_code": "AccessDenied", "error_reason": "permission"},
        "unread": {},
        "foreign": {"is_unsupported": True, "error_code": "NotImplemented"},
        "gone": {"error_code": "NoSuchBucket", "error_reason": "no-such-bucket"},
    }
    rows = [
        LifecycleState(store=kept, bucket=f"{name}-{number}", **values)
        for name, values in kinds.items()
        for number in range(2)
    ]
    rows.append(LifecycleState(store=store, bucket="in-main"))
    place = InventoryBucket.objects.create(store=kept, name="none-1")
    InventorySum.objects.create(bucket=place, verdict="dead", uploads=3, bytes=5_000_000)
    return LifecycleState.objects.bulk_create(rows)


def get(client: Client, query: str = "") -> Any:
    answer = client.get(f"/lifecycle/{query}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def names(found: Any) -> list[str]:
    return [each["Bucket"] for each in found["buckets"]]


def test_filters_and_counts(operator_client: Client, buckets: list[LifecycleState]) -> None:
    found = get(operator_client)
    counts = {"without": 2, "part": 2, "all": 2, "unreadable": 2, "unsupported": 3, "unread": 2}
    assert found["counts"] == counts
    for rule, expected in counts.items():
        shown = get(operator_client, f"?rule={rule}")
        assert len(shown["buckets"]) == expected
        assert {each["rule"] for each in shown["buckets"]} == {rule}
    assert names(get(operator_client, "?rule=without")) == ["none-0", "none-1"]
    assert names(get(operator_client, "?store=main")) == ["in-main"]
    [with_uploads] = [each for each in found["buckets"] if each["uploads"]]
    assert (with_uploads["Bucket"], with_uploads["uploads"], with_uploads["bytes"]) == ("none-1", 3, 5_000_000)


def test_the_page_in_words(operator_client: Client, buckets: list[LifecycleState]) -> None:
    page = operator_client.get("/lifecycle/").content.decode()
    for text in (
        "No rule",
        "The rules cannot be read",
        "AccessDenied",
        "The store has no such rules",
        "Not read yet",
    ):
        assert text in page
    assert "7 days after they were started" in page
    assert "gone-0" not in page
    assert 'href="/stores/kept/none-0/lifecycle/"' in page


def test_pages_have_each_bucket_once(
    operator_client: Client, buckets: list[LifecycleState], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.lifecycle.buckets.PAGE_SIZE", 3)
    seen = list[str]()
    cursor: str | None = ""
    while cursor is not None:
        found = get(operator_client, f"?cursor={cursor}")
        seen += names(found)
        cursor = found["next"]
    assert seen == [*sorted(seen[:-1]), "in-main"]
    assert len(seen) == 13


@pytest.mark.parametrize("query", ["?rule=x", "?cursor=x", "?store=a&store=b"])
def test_bad_values(operator_client: Client, query: str) -> None:
    assert operator_client.get(f"/lifecycle/{query}").status_code == 400


def test_only_what_a_grant_shows(client: Client, buckets: list[LifecycleState]) -> None:
    kept = Store.objects.get(name="kept")
    for name, places, expected in (
        ("bob", [{"store": kept, "bucket": "all-0"}], ["all-0"]),
        ("pia", [{"store": kept, "bucket": "all-0", "prefix": "a/"}], []),
        ("sue", [{"store": Store.objects.get(name="main")}], ["in-main"]),
    ):
        user = User.objects.create(username=name)
        for place in places:
            grant(user, **place)
        client.force_login(user)
        assert names(get(client)) == expected
        assert sum(get(client)["counts"].values()) == len(expected)


def test_statements_do_not_depend_on_the_number_of_buckets(
    operator_client: Client, buckets: list[LifecycleState]
) -> None:
    with CaptureQueriesContext(connection) as few:
        operator_client.get("/lifecycle/")
    more = [LifecycleState(store=buckets[0].store, bucket=f"more-{number}") for number in range(80)]
    LifecycleState.objects.bulk_create(more)
    with CaptureQueriesContext(connection) as many:
        operator_client.get("/lifecycle/")
    assert len(many) == len(few)
