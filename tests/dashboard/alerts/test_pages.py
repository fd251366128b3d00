"""The pages of alerts and of prices."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from uploads.models import (
    Alert,
    AlertDelivery,
    AlertRule,
    AuditEntry,
    InventoryBucket,
    InventorySum,
    Store,
    StorePrice,
)
from uploads.models.fields import opened
from uploads.problems import Code, Problem
from uploads.services.work.failures import problem_fields

JSON = {"Accept": "application/json"}
VALUES = {
    "name": "too much",
    "what": "bytes",
    "threshold": "1.5 TiB",
    "store": "s",
    "verdict": "dead",
    "webhook_url": "https://hooks.example.com/a-secret-path",
    "webhook_secret": "a secret",
    "emails": "ops@example.com\nada@example.com",
    "quiet_from": "22:00",
    "quiet_until": "06:30",
    "enabled": "on",
}


@pytest.fixture
def store(db: None) -> Store:
    values = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    return Store.objects.create(name="s", provider="wasabi", region="eu-central-1", **values)


@pytest.fixture
def browser(store: Store) -> Client:
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True))
    return client


def test_rule_is_added_changed_and_deleted(browser: Client) -> None:
    assert browser.post("/alerts/new/", VALUES)["Location"] == "/alerts/"
    rule = AlertRule.objects.get()
    assert rule.threshold == Decimal("1.5") * 1024**4
    assert (rule.quiet_from, rule.quiet_until) == (22 * 60, 6 * 60 + 30)
    assert rule.emails == ["ops@example.com", "ada@example.com"]
    page = browser.get(f"/alerts/{rule.pk}/").content.decode()
    assert "1536 GiB" in page
    assert "a secret" not in page
    assert "a-secret-path" not in page
    assert "Stored: https://hooks.example.com/… Leave this empty to keep it." in page
    browser.post(f"/alerts/{rule.pk}/", {**VALUES, "webhook_url": "", "webhook_secret": "", "threshold": "2 TiB"})
    rule.refresh_from_db()
    assert (rule.threshold, bool(rule.webhook_secret)) == (Decimal(2 * 1024**4), True)
    assert opened(rule.webhook_url) == VALUES["webhook_url"]
    shown = browser.get("/alerts/", headers=JSON).json()["rules"][0]
    assert shown["webhook"] == "https://hooks.example.com/…"
    words = " ".join(strip_tags(browser.get("/alerts/").content.decode()).split())
    assert "Sent to https://hooks.example.com/…, 2 e-mail addresses" in words
    browser.post(f"/alerts/{rule.pk}/", {**VALUES, "webhook_url": "", "webhook_secret": "", "remove_webhook": "on"})
    rule.refresh_from_db()
    assert (rule.webhook_url, rule.webhook_secret) == ("", "")
    browser.post(f"/alerts/{rule.pk}/change/", {"action": "delete"})
    assert not AlertRule.objects.exists()
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["alert.added", "alert.changed", "alert.changed", "alert.deleted"]
    written = str(list(AuditEntry.objects.values()))
    assert "a secret" not in written
    assert "a-secret-path" not in written


def test_refused_form_does_not_repeat_the_webhook(browser: Client) -> None:
    response = browser.post("/alerts/new/", {**VALUES, "threshold": "many"})
    assert response.status_code == 400
    page = response.content.decode()
    assert "Enter the webhook and its secret again" in page
    assert "a-secret-path" not in page
    rule = AlertRule.objects.create(name="r", what="bytes", threshold=1, webhook_url="https://example.org/x")
    response = browser.post(f"/alerts/{rule.pk}/", {**VALUES, "remove_webhook": "on"})
    assert list(response.context["form"].errors) == ["remove_webhook"]
    response = browser.post(f"/alerts/{rule.pk}/", {**VALUES, "webhook_url": "", "emails": "", "remove_webhook": "on"})
    assert list(response.context["form"].errors) == ["webhook_url"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"what": "anything"}, "what"),
        ({"threshold": "-1"}, "threshold"),
        ({"threshold": "NaN"}, "threshold"),
        ({"threshold": "many"}, "threshold"),
        ({"what": "uploads", "threshold": "5 GiB"}, "threshold"),
        ({"what": "cost", "threshold": "5"}, "currency"),
        ({"what": "growth", "verdict": "dead"}, "verdict"),
        ({"store": "unknown"}, "store"),
        ({"webhook_url": "ftp://example.com/"}, "webhook_url"),
        ({"webhook_url": "https://user@example.com/"}, "webhook_url"),
        ({"webhook_url": "http://169.254.169.254/latest/"}, "webhook_url"),
        ({"webhook_url": "http://2852039166/"}, "webhook_url"),
        ({"webhook_url": "", "emails": ""}, "webhook_url"),
        ({"emails": "nobody"}, "emails"),
        ({"quiet_until": ""}, "quiet_until"),
    ],
)
def test_bad_input_changes_nothing(browser: Client, change: dict[str, str], field: str) -> None:
    response = browser.post("/alerts/new/", {**VALUES, **change})
    assert response.status_code == 400
    assert list(response.context["form"].errors) == [field]
    assert not AlertRule.objects.exists()


def test_name_that_is_taken(browser: Client) -> None:
    AlertRule.objects.create(name="too much", what="bytes", threshold=1)
    response = browser.post("/alerts/new/", VALUES)
    assert response.status_code == 400
    assert "There is a rule “too much” already." in response.content.decode()


def test_rule_is_silenced_tested_and_shown(browser: Client) -> None:
    rule = AlertRule.objects.create(name="r", what="uploads", threshold=5, emails=["a@example.com"])
    alert = Alert.objects.create(rule=rule, value=7, started_at=timezone.now())
    browser.post(f"/alerts/{rule.pk}/change/", {"action": "test"})
    delivery = AlertDelivery.objects.get()
    assert (delivery.event, delivery.channel) == ("test", "email")
    browser.post(f"/alerts/{rule.pk}/change/", {"action": "silence", "hours": "8"})
    page = browser.get("/alerts/").content.decode()
    assert "End the silence" in page
    assert "It began with 7." in page
    shown = browser.get("/alerts/", headers=JSON).json()
    assert shown["rules"][0]["silent_until"]
    assert shown["active"] == [
        {"id": str(alert.pk), "rule": rule.pk, "value": "7", "started_at": shown["active"][0]["started_at"]}
    ]
    assert [each["id"] for each in shown["deliveries"]] == [str(delivery.pk)]
    browser.post(f"/alerts/{rule.pk}/change/", {"action": "silence", "hours": "5000"})
    browser.post(f"/alerts/{rule.pk}/change/", {"action": "unsilence"})
    rule.refresh_from_db()
    assert rule.silent_until is None
    assert not AuditEntry.objects.filter(action="alert.silenced").exclude(detail__silent_until__gt="").exists()


def test_statements_do_not_grow_with_the_rows(browser: Client, django_assert_max_num_queries: object) -> None:
    for number in range(20):
        rule = AlertRule.objects.create(name=f"r{number}", what="uploads", threshold=5, emails=["a@example.com"])
        Alert.objects.create(rule=rule, value=7, started_at=timezone.now())
        AlertDelivery.objects.create(rule=rule, event="test", channel="email")
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        assert browser.get("/alerts/").status_code == 200


def test_prices_are_set(browser: Client, store: Store) -> None:
    page = browser.get("/stores/s/prices/").content.decode()
    assert "https://wasabi.com/pricing" in page
    response = browser.post("/stores/s/prices/", {"prices": "standard 0.02 eur\nCOLD 1e-3 USD\n"})
    assert response["Location"] == "/stores/s/prices/"
    found = {row.storage_class: (row.per_gib_month, row.currency) for row in StorePrice.objects.all()}
    assert found == {"STANDARD": (Decimal("0.02"), "EUR"), "COLD": (Decimal("0.001"), "USD")}
    assert "STANDARD 0.02 EUR" in browser.get("/stores/s/prices/").content.decode()
    assert AuditEntry.objects.get().action == "store.prices-changed"
    browser.post("/stores/s/prices/", {"action": "reset"})
    assert not StorePrice.objects.exists()
    assert AuditEntry.objects.count() == 2
    assert "https://wasabi.com/pricing" in browser.get("/stores/s/prices/").content.decode()


def test_prices_in_use_say_what_has_none(browser: Client, store: Store) -> None:
    bucket = InventoryBucket.objects.create(store=store, name="b", listed_at=timezone.now())
    for name, size in (("", 1024), ("STANDARD", 1024), ("COLD", 512)):
        InventorySum.objects.create(bucket=bucket, verdict="dead", storage_class=name, bytes=size)
    words = " ".join(strip_tags(browser.get("/stores/s/prices/").content.decode()).split())
    assert "STANDARD 0.00780273" in words
    assert "2.00 KiB https://wasabi.com/pricing" in words
    assert "COLD not set 512 bytes no published price is known" in words


def test_every_wrong_line_of_prices_is_named(browser: Client) -> None:
    response = browser.post("/stores/s/prices/", {"prices": "A x USD\nB 1 DOLLAR\nC 1 EUR\nC 2 EUR\nD"})
    assert response.context["form"].errors["prices"] == [
        "“A x USD”: The price is a number of at least 0, such as 0.023.",
        "“B 1 DOLLAR”: The currency has three letters, such as USD.",
        "“C 2 EUR”: The storage class has a line already.",
        "“D”: A line has a storage class, a price and a currency, with spaces between them.",
    ]


@pytest.mark.parametrize(
    "line", ["STANDARD", "STANDARD x USD", "STANDARD -1 USD", "STANDARD 1 DOLLAR", "A 1 USD\nA 2 USD"]
)
def test_bad_prices_change_nothing(browser: Client, line: str) -> None:
    assert browser.post("/stores/s/prices/", {"prices": line}).status_code == 400
    assert not StorePrice.objects.exists()


def test_rule_that_cannot_be_evaluated_says_why(browser: Client) -> None:
    problem = problem_fields(Problem(Code.ALERT_IN_OTHER_CURRENCIES, currency="EUR", others=("USD",)))
    rule = AlertRule.objects.create(name="r", what="cost", threshold=5, currency="EUR", **problem)
    Alert.objects.create(rule=rule, value=7, started_at=timezone.now())
    words = " ".join(strip_tags(browser.get("/alerts/").content.decode()).split())
    why = "The rule counts EUR, and some prices are in other currencies: USD."
    assert f"cannot be evaluated {why}" in words
    assert f"Whether it goes on is not known: {why}" in words
    assert browser.get("/alerts/", headers=JSON).json()["rules"][0]["error"]["message"] == why
