"""The page of the trend: growth, forecast, gaps, and who leaks most."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.dashboard.inventory.test_explore import add
from tests.dashboard.pages import Page
from tests.grants import grant
from uploads.domain.roles import Role
from uploads.models import InventoryBucket, InventoryDay, InventorySum, InventoryUpload, Store, StorePrice

GIB = 1024**3
JSON = {"Accept": "application/json"}


def today() -> date:
    return timezone.now().date()


@pytest.fixture
def ada(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def far_store(db: None) -> Store:
    return Store.objects.create(name="far", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def photos(far_store: Store) -> InventoryBucket:
    return InventoryBucket.objects.create(store=far_store, name="photos", listed_at=timezone.now())


def write(bucket: InventoryBucket, sizes: dict[int, int], *, uploads: int = 2, checked: int = 2) -> None:
    """Totals of dead uploads: GiB by how many days ago they were."""
    InventoryDay.objects.bulk_create(
        InventoryDay(
            bucket=bucket,
            day=today() - timedelta(days=ago),
            uploads=uploads,
            checked=checked,
            bytes=size * GIB,
            by_verdict={"dead": [uploads, size * GIB]},
        )
        for ago, size in sizes.items()
    )


def page_of(client: Client, query: str = "") -> Page:
    response = client.get(f"/inventory/trend/?{query}")
    assert response.status_code == 200
    return Page(response)


def json_of(client: Client, query: str = "") -> Any:
    return client.get(f"/inventory/trend/?{query}", headers=JSON).json()


def test_without_a_day_it_says_so(ada: Client) -> None:
    page = page_of(ada)
    assert "No days to show yet" in page.words
    assert "chart-picture" not in page.text
    assert json_of(ada)["days"] == []
    assert json_of(ada)["growth"] is json_of(ada)["forecast"] is None


def test_one_day_is_no_trend(ada: Client, photos: InventoryBucket) -> None:
    write(photos, {0: 3}, checked=1)
    page = page_of(ada)
    assert "chart-picture" not in page.text
    assert "bytes known of 50% of the uploads" in page.words
    assert "There is no total of the day a week before" in page.words
    assert "A forecast needs 7 days with a total; there is 1." in page.words


def test_days_without_a_total_are_gaps_and_not_zero(ada: Client, photos: InventoryBucket) -> None:
    write(photos, {9: 1, 8: 2, 3: 2, 1: 4})
    page = page_of(ada)
    assert "6 days since the first one have none" in page.words
    by_bytes = page.text.split("</figure>")[0]
    lines = [each.split() for each in re.findall(r'tone-all"\s+points="([^"]*)"', by_bytes)]
    assert [len(points) for points in lines] == [2], "one line, of the two days that follow each other"
    assert by_bytes.count('class="chart-dot tone-all"') == 2
    assert "0.000" not in " ".join(lines[0])
    assert by_bytes.count(">–</td>") == 12, "six days, of two lines"
    assert [each["bytes"] for each in json_of(ada)["days"]] == [GIB, 2 * GIB, 2 * GIB, 4 * GIB]


def test_growth_has_its_cost_and_its_buckets(ada: Client, far_store: Store, photos: InventoryBucket) -> None:
    other = InventoryBucket.objects.create(store=far_store, name="new", listed_at=timezone.now())
    write(photos, {7: 10, 0: 30}, uploads=3)
    write(other, {0: 5}, uploads=1)
    InventorySum.objects.create(bucket=photos, verdict="dead", storage_class="COLD", uploads=1, checked=1, bytes=35)
    InventorySum.objects.create(bucket=photos, verdict="dead", storage_class="OTHER", uploads=1, checked=1, bytes=15)
    StorePrice.objects.create(store=far_store, storage_class="COLD", per_gib_month=Decimal(2), currency="EUR")
    growth = json_of(ada)["growth"]
    assert (growth["bytes"], growth["uploads"]) == (25 * GIB, 1)
    assert growth["costs"] == [{"amount": "35.000000", "currency": "EUR"}], "70% of 25 GiB have a price"
    assert growth["bytes_without_price"] == round(25 * GIB * 0.3)
    assert [(each["bucket"], each["before"], each["bytes"]) for each in growth["buckets"]] == [
        ("photos", 10 * GIB, 20 * GIB),
        ("new", None, 5 * GIB),
    ]
    page = page_of(ada)
    assert "+25.0 GiB" in page.words
    assert "5.00 GiB of this are in 1 bucket that was not known then" in page.words
    assert "35.00 EUR + price not set for 7.50 GiB" in page.words
    assert json_of(ada, "bucket=new")["growth"] is None


def test_less_than_a_week_ago_costs_less(ada: Client, far_store: Store, photos: InventoryBucket) -> None:
    """Nothing is left, so the price of the standard class counts."""
    StorePrice.objects.create(store=far_store, storage_class="STANDARD", per_gib_month=Decimal("0.05"), currency="EUR")
    write(photos, {7: 10, 0: 0})
    assert json_of(ada)["growth"]["costs"] == [{"amount": "-0.500000", "currency": "EUR"}]
    page = page_of(ada)
    assert "\N{MINUS SIGN}10.0 GiB" in page.words
    assert "\N{MINUS SIGN}0.50 EUR" in page.words


def test_forecast_states_what_it_assumes(ada: Client, photos: InventoryBucket) -> None:
    write(photos, {ago: 20 - ago for ago in range(10)})
    words = page_of(ada).words
    assert "50.0 GiB on" in words
    assert "go on as in the 10 days with a total: along a straight line, +7.00 GiB in a week" in words
    assert "It knows nothing of sweeps, lifecycle rules and clients to come" in words
    found = json_of(ada)["forecast"]
    assert (found["of_days"], found["days_ahead"], found["expected"]) == (10, 30, 50 * GIB)


def test_leaders_are_those_with_most_uploads(ada: Client, far_store: Store, photos: InventoryBucket) -> None:
    for number in range(3):
        add(photos, f"logs/{number}", size=1)
    add(photos, "big/one", size=90 * GIB)
    add(photos, "alive/one", verdict="alive")
    InventoryUpload.objects.filter(key__startswith="logs/").update(initiator="cron")
    found = json_of(ada)["leaders"]
    assert [(each["value"], each["uploads"]) for each in found["initiator"]] == [("cron", 3), ("", 1)]
    assert [(each["value"], each["bytes"]) for each in found["prefix"]] == [("logs/", 3), ("big/", 90 * GIB)]
    page = page_of(ada, "store=far")
    assert "/inventory/?store=far&amp;initiator=cron&amp;verdict=completable" in page.text
    assert page.words.count("no price is set") == 1


def test_only_whole_buckets_that_the_user_may_list(far_store: Store, photos: InventoryBucket) -> None:
    other = InventoryBucket.objects.create(store=far_store, name="other", listed_at=timezone.now())
    for bucket in (photos, other):
        write(bucket, {7: 1, 0: 4})
        add(bucket, "logs/a", size=GIB)
        add(bucket, "secret/a", size=GIB)
    user = User.objects.create_user("below")
    grant(user, Role.VIEWER, store=far_store, bucket="photos")
    grant(user, Role.VIEWER, store=far_store, bucket="other", prefix="logs/")
    client = Client()
    client.force_login(user)
    found = json_of(client)
    assert found["growth"]["bytes"] == 3 * GIB
    assert [each["bucket"] for each in found["growth"]["buckets"]] == ["photos"]
    assert {each["value"]: each["uploads"] for each in found["leaders"]["prefix"]} == {"logs/": 2, "secret/": 1}

    user = User.objects.create_user("prefix")
    grant(user, Role.VIEWER, store=far_store, bucket="other", prefix="logs/")
    client.force_login(user)
    assert json_of(client)["days"] == []
    assert json_of(client)["listed_at"] is None
    assert "You see a part of some buckets only" in page_of(client).words


@pytest.mark.parametrize("query", ["days=31", "days=x", "days=-30", "days=30&days=90", "store=%00", "store=%ff"])
def test_bad_input(ada: Client, query: str) -> None:
    response = ada.get(f"/inventory/trend/?{query}", headers=JSON)
    assert response.status_code == 400
    if query in ("days=31", "days=x"):
        assert "30, 90, 365" in response.json()["error"]["message"]


def test_nothing_matches(ada: Client, photos: InventoryBucket) -> None:
    write(photos, {1: 1, 0: 2})
    assert "No day matches" in page_of(ada, "store=nowhere").words
    assert "No day matches" in page_of(ada, "bucket=nowhere&days=365").words
    assert json_of(ada, "store=far&bucket=photos&days=90")["days"]


def test_statements_do_not_grow(
    ada: Client, far_store: Store, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(15):
        store = Store.objects.create(
            name=f"s{number}", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b"
        )
        for name in ("a", "b"):
            bucket = InventoryBucket.objects.create(store=store, name=name, listed_at=timezone.now())
            write(bucket, {ago: number + 9 - ago for ago in range(9)})
            add(bucket, f"logs/{number}", size=GIB)
    ada.get("/inventory/trend/")
    with django_assert_max_num_queries(30):
        page = page_of(ada, "days=365")
    assert "Grew most since" in page.words


def test_fields_are_documented(ada: Client, photos: InventoryBucket) -> None:
    from tests.dashboard.test_json_documentation import fields_in

    write(photos, {ago: 20 - ago for ago in range(10)})
    add(photos, "logs/a", size=GIB)
    documented = set(re.findall(r"`([\w-]+)`", (settings.BASE_DIR / "docs" / "json.md").read_text()))
    assert set(fields_in(json_of(ada))) - documented == set()
