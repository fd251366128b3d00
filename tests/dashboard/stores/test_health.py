"""The health of stores on pages, in JSON and in the metrics: known without a request to a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.pages import JSON, Page
from tests.grants import grant
from uploads.domain.roles import Role
from uploads.domain.store_health import FAILING, StoreHealth
from uploads.models import Store, StoreCheck
from uploads.models.fields import Sealed
from uploads.objectstore.errors import Reason, Refused
from uploads.services.work.failures import error_fields

SINCE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ADVICE = "What to do:"

SHOWN = {
    StoreHealth.NEVER_TRIED: ("idle", "not tried yet"),
    StoreHealth.ANSWERS: ("good", "answers"),
    StoreHealth.REFUSES_CREDENTIALS: ("bad", "refuses the credentials"),
    StoreHealth.SECRET_UNREADABLE: ("bad", "secrets cannot be decrypted"),
    StoreHealth.ADDRESS_REFUSED: ("bad", "address not allowed"),
    StoreHealth.CLOCK_SKEW: ("bad", "clocks differ too much"),
    StoreHealth.TLS: ("bad", "no secure connection"),
    StoreHealth.UNREACHABLE: ("bad", "unreachable"),
    StoreHealth.NOT_ANSWERING: ("bad", "not answering"),
    StoreHealth.FAULTY: ("bad", "answers with errors"),
    StoreHealth.DISABLED: ("idle", "disabled"),
}


def make_store(health: StoreHealth, name: str = "shop", **values: Any) -> Store:
    error = Refused("Bad.", code="SignatureDoesNotMatch", status=403, reason=Reason.CREDENTIALS, request_id="req-7")
    failed = error_fields(error) if health in FAILING else {}
    known: dict[str, Any] = {"health": health.value, "health_since": SINCE, "enabled": True}
    if health is StoreHealth.NOT_ANSWERING:
        known |= {"timeouts": 3, "silent_since": SINCE}
    if health is StoreHealth.SECRET_UNREADABLE:
        known |= {"secret_key": Sealed("of a key that is lost"), "health": StoreHealth.ANSWERS.value}
    if health is StoreHealth.DISABLED:
        known |= {"enabled": False, "health": StoreHealth.NEVER_TRIED.value}
    fields = {"name": name, "endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "s"}
    return Store.objects.create(**fields | known | failed | values)


@pytest.mark.parametrize("health", list(StoreHealth))
def test_every_state_has_a_dot_and_a_text(administrator_client: Client, health: StoreHealth) -> None:
    make_store(health)
    tone, text = SHOWN[health]
    for url in ("/stores/", "/"):
        page = Page(administrator_client.get(url))
        dot = f'<span class="state state-{tone}"><span class="state-dot" aria-hidden="true"></span>{text}</span>'
        assert dot in page.text
    assert ("Needs attention" in page.words) is (health in FAILING)


def test_store_whose_secrets_cannot_be_decrypted_can_be_given_new_ones(administrator_client: Client) -> None:
    store = make_store(StoreHealth.SECRET_UNREADABLE, session_token=Sealed("of the same key"))
    page = Page(administrator_client.get("/stores/shop/edit/"))
    assert page.words.count("The stored one cannot be decrypted: enter it again.") == 2
    fields = {"endpoint_url": store.endpoint_url, "access_key": "a", "payload_signing": "unsigned"}
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    refused = client.post("/stores/shop/edit/", {**fields, "provider": "generic"})
    assert refused.status_code == 400
    entered = {"provider": "generic", "secret_key": "a new one", "clear_session_token": "on"}
    assert client.post("/stores/shop/edit/", fields | entered).status_code == 303
    assert Store.objects.get().config().credentials.secret_key == "a new one"
    assert Store.objects.get().session_token == ""


def test_failing_store_says_since_when_why_and_what_to_do(operator_client: Client) -> None:
    make_store(StoreHealth.REFUSES_CREDENTIALS)
    for url in ("/stores/", "/"):
        page = Page(operator_client.get(url))
        for part in ("since 2026-03-04 05:06:07 UTC", "SignatureDoesNotMatch", "req-7", ADVICE):
            assert part in page.words, (url, part)
        assert page.href("Try again now") == "/stores/shop/?try=1"


def test_store_in_doubt_says_that_its_last_request_failed(operator_client: Client) -> None:
    """One error does not make a store fail, and is not hidden either."""
    error = Refused("Bad.", code="InvalidAccessKeyId", status=403, reason=Reason.CREDENTIALS)
    make_store(StoreHealth.ANSWERS, failures=1, failing_since=SINCE, **error_fields(error))
    page = Page(operator_client.get("/stores/"))
    assert "answers" in page.words
    assert page.find("span", "state-warn")
    assert not page.find("span", "state-good"), "A store whose last request failed has no green dot."
    assert "The last request failed. The store is tried again." in page.words
    assert "InvalidAccessKeyId" in page.words
    assert "Needs attention" not in Page(operator_client.get("/")).words


@pytest.mark.parametrize("health", [StoreHealth.DISABLED, *sorted(FAILING)])
def test_store_that_is_disabled_or_fails_has_nothing_green(administrator_client: Client, health: StoreHealth) -> None:
    """Nor has its last check, which says nothing about the store as it is now."""
    for name, state in (("works", StoreHealth.ANSWERS), ("shop", health)):
        StoreCheck.objects.create(store=make_store(state, name), bucket="photos", state="done")
    text = Page(administrator_client.get("/stores/")).text
    shop, works = text[text.index('"/stores/shop/"') :].split('"/stores/works/"')[:2]
    assert "verdict-good" in works
    assert "verdict-good" not in shop
    assert "state-good" not in shop


def test_json_has_the_health_and_no_credentials(operator_client: Client) -> None:
    make_store(StoreHealth.REFUSES_CREDENTIALS, heard_at=SINCE)
    [shown] = operator_client.get("/stores/", headers=JSON).json()["stores"]
    health = shown["health"]
    assert (shown["store"], shown["enabled"], health["state"]) == ("shop", True, "refuses-credentials")
    assert health["since"] == health["confirmed"] == "2026-03-04T05:06:07.000Z"
    assert (health["error"]["code"], health["error"]["request_id"]) == ("SignatureDoesNotMatch", "req-7")
    assert "access_key" not in shown


def test_metrics_have_the_state_of_each_enabled_store(db: None, settings: Settings) -> None:
    settings.METRICS_TOKEN = "the token"
    for health in StoreHealth:
        make_store(health, name=health.value)
    lines = Client().get("/metrics", headers={"Authorization": "Bearer the token"}).content.decode().splitlines()
    for health in set(StoreHealth) - {StoreHealth.DISABLED}:
        answers = 0.0 if health in FAILING else 1.0
        assert f'partway_store_answers{{store="{health}"}} {answers}' in lines
        found = [line for line in lines if line.startswith("partway_store_health") and f'store="{health}"' in line]
        assert [line for line in found if line.endswith(" 1.0")] == [
            f'partway_store_health{{state="{health}",store="{health}"}} 1.0'
        ]
    assert not any('store="disabled"' in line for line in lines)


def test_page_of_a_store_shows_what_its_own_request_has_found(operator_client: Client) -> None:
    make_store(StoreHealth.NEVER_TRIED)
    page = Page(operator_client.get("/stores/shop/"))
    assert "The last request failed. The store is tried again." in page.words
    for _ in range(2):
        Store.objects.update(failing_since=SINCE)
        page = Page(operator_client.get("/stores/shop/"))
    assert "unreachable since" in page.words
    assert "shop" in Page(operator_client.get("/", headers={"HX-Request": "true"})).words


@pytest.mark.parametrize("where", [{}, {"bucket": "photos"}, {"bucket": "photos", "prefix": "a/"}])
def test_endpoint_is_shown_only_to_users_with_a_role_for_the_whole_store(db: None, where: dict[str, str]) -> None:
    store, user, client = make_store(StoreHealth.UNREACHABLE), User.objects.create(username="vera"), Client()
    grant(user, Role.VIEWER, store=store, **where)
    client.force_login(user)
    [shown] = client.get("/stores/", headers=JSON).json()["stores"]
    assert ("endpoint" in shown) is not bool(where)
    for url in ("/stores/", "/", "/stores/shop/"):
        page = Page(client.get(url))
        assert "shop" in page.words
        assert ("127.0.0.1:9" in page.text) is not bool(where), url
