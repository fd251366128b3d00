"""Which selected files resume earlier transfers: only the operator's own live transfers of the same file."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.dashboard.make_transfer import MIB, make_transfer
from tests.dashboard.pages import Page
from tests.grants import make_operator
from uploads.domain.states import DesiredState, Phase
from uploads.models import AuditEntry, Store, Transfer

URL = "/transfers/new/known/"
FILE = {"key": "cat.jpg", "size": 10 * MIB, "fingerprint": "f-1"}


@pytest.fixture
def unreachable(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def make(operator: User, unreachable: Store) -> Callable[..., Transfer]:
    """A resumable transfer of FILE to unreachable/photos; three of its ten parts are staged."""

    def make_one(**values: Any) -> Transfer:
        store = values.pop("store", unreachable)
        facts: dict[str, Any] = {"fingerprint": "f-1", "resumable": True, "staged": 3}
        return make_transfer(values.pop("owner", operator), store, **facts | values)

    return make_one


Make = Callable[..., Transfer]


def request_known(client: Client, files: list[dict[str, Any]], *, token: bool = True, **changes: Any) -> Page:
    return send(client, json.dumps({"store": "unreachable", "bucket": "photos", "files": files} | changes), token=token)


def send(client: Client, body: str | bytes, *, token: bool = True) -> Page:
    client.get("/stores/")
    headers = {"X-CSRFToken": client.cookies["partway_csrf"].value} if token else {}
    return Page(client.post(URL, body, content_type="application/json", headers=headers))


def keys(page: Page) -> list[str]:
    assert page.status == 200, page.text
    return [each["key"] for each in page.json["known"]]


def test_file_of_an_earlier_transfer_is_known(operator_client: Client, make: Make) -> None:
    transfer = make()
    page = request_known(operator_client, [FILE, FILE | {"key": "dog.jpg"}])
    assert page.json == {
        "known": [
            {
                "key": "cat.jpg",
                "size": 10 * MIB,
                "fingerprint": "f-1",
                "id": str(transfer.pk),
                "url": f"/files/{transfer.pk}",
                "bytes_received": 3 * MIB,
                "wants_sha256": False,
                "state": "sending",
            }
        ]
    }


@pytest.mark.parametrize(("replace", "forbids"), [(True, False), (False, True), ("on", True)])
def test_known_transfer_may_replace_an_object_once_allowed(
    operator_client: Client, make: Make, store: Store, bucket: str, replace: object, forbids: bool
) -> None:
    place: dict[str, Any] = {"store": store, "bucket": bucket, "forbid_overwrite": True}
    mine, other = make(**place), make(**place, key="dog.jpg")
    files = [FILE | {"replace": replace}, FILE | {"key": "dog.jpg"}]
    assert keys(request_known(operator_client, files, store=store.name, bucket=bucket)).count("cat.jpg") == 1
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.forbid_overwrite, other.forbid_overwrite) == (forbids, True)
    assert AuditEntry.objects.filter(action="transfer.replace-allowed").count() == (not forbids)


def test_nothing_may_be_replaced_that_could_not_be_looked_at(operator_client: Client, make: Make) -> None:
    transfer = make(forbid_overwrite=True)
    assert keys(request_known(operator_client, [FILE | {"replace": True}])) == ["cat.jpg"]
    transfer.refresh_from_db()
    assert transfer.forbid_overwrite


@pytest.mark.parametrize("change", [{"key": "other"}, {"size": 1}, {"fingerprint": "f-2"}, {"fingerprint": ""}])
def test_another_file_is_not_known(operator_client: Client, make: Make, change: dict[str, Any]) -> None:
    make()
    assert keys(request_known(operator_client, [FILE | change])) == []


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "other"},
        {"resumable": False},
        {"fingerprint": ""},
        {"phase": Phase.DONE},
        {"phase": Phase.CANCELLED},
        {"desired_state": DesiredState.CANCEL},
    ],
)
def test_transfer_that_cannot_be_resumed_is_not_known(
    operator_client: Client, make: Make, change: dict[str, Any]
) -> None:
    make(**change)
    assert keys(request_known(operator_client, [FILE, FILE | {"fingerprint": ""}])) == []


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"phase": Phase.RECEIVING}, "receiving"),
        ({"desired_state": DesiredState.PAUSE}, "paused"),
        ({"phase": Phase.FAILED}, "failed"),
        ({"phase": Phase.COMPLETING, "all_received": True}, "completing"),
    ],
)
def test_state_of_a_known_transfer(operator_client: Client, make: Make, change: dict[str, Any], state: str) -> None:
    make(**change)
    (known,) = request_known(operator_client, [FILE]).json["known"]
    assert known["state"] == state
    assert known["bytes_received"] == (10 * MIB if change.get("all_received") else 3 * MIB)


def test_files_of_other_operators_are_not_known(
    operator_client: Client, administrator_client: Client, make: Make
) -> None:
    make(owner=make_operator("eve"))
    assert keys(request_known(operator_client, [FILE])) == []
    assert keys(request_known(administrator_client, [FILE])) == []


def test_files_of_another_store_are_not_known(operator_client: Client, make: Make) -> None:
    make(store=Store.objects.create(name="b", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b"))
    assert keys(request_known(operator_client, [FILE])) == []
    assert keys(request_known(operator_client, [FILE], store="b")) == ["cat.jpg"]


def test_a_thousand_files_cost_few_queries(
    operator_client: Client, make: Make, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        make(key=f"k-{number}", fingerprint=f"f-{number}")
    files = [FILE | {"key": f"k-{number}", "fingerprint": f"f-{number}"} for number in range(1000)]
    with django_assert_max_num_queries(15):
        known = keys(request_known(operator_client, files))
    assert sorted(known) == sorted(f"k-{number}" for number in range(20))


def test_keys_and_fingerprints_of_any_text(operator_client: Client, make: Make) -> None:
    make(key="Zürich/東京 🎞", fingerprint="ü'\"<>\\")
    assert keys(request_known(operator_client, [FILE | {"key": "Zürich/東京 🎞", "fingerprint": "ü'\"<>\\"}])) == [
        "Zürich/東京 🎞"
    ]


def test_empty_request(operator_client: Client, unreachable: Store) -> None:
    assert keys(request_known(operator_client, [])) == []


# --- Refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "null",
        "5",
        "{}",
        '{"store": "unreachable", "bucket": "b"}',
        '{"store": "unreachable", "bucket": "b", "files": 5}',
        '{"store": "unreachable", "bucket": "b", "files": [5]}',
        '{"store": "unreachable", "bucket": "b", "files": [{}]}',
        '{"store": "unreachable", "bucket": "b", "files": [{"key": "k", "size": "many", "fingerprint": "f"}]}',
        '{"store": "unreachable", "bucket": "b", "files": [{"key": "k", "size": 1e999, "fingerprint": "f"}]}',
        '{"store": "unreachable", "bucket": "b", "files": [{"key": "k", "size": NaN, "fingerprint": "f"}]}',
        '{"store": "unreachable", "bucket": "b", "files": [{"key": "k", "size": 1, "fingerprint": "\\ud800"}]}',
        '{"store": "unreachable", "bucket": "b", "files": [{"key": "a\\u0000", "size": 1, "fingerprint": "f"}]}',
        '{"store": "\\udfff", "bucket": "b", "files": []}',
        b"\xff\xfe",
        "[" * 100_000,
    ],
    ids=range(18),
)
def test_invalid_request_is_refused(operator_client: Client, unreachable: Store, body: str | bytes) -> None:
    page = send(operator_client, body)
    assert page.status == 400
    assert page.json["error"]["code"] == "InvalidRequest"


def test_too_many_files_are_refused(operator_client: Client, unreachable: Store) -> None:
    page = request_known(operator_client, [FILE] * 1001)
    assert page.status == 400
    assert "1,000" in page.json["error"]["message"]


def test_unknown_stores_and_methods(operator_client: Client, unreachable: Store) -> None:
    assert request_known(operator_client, [FILE], store="unknown").status == 404
    assert operator_client.get(URL).status_code == 405


def test_csrf_token_is_required(operator_client: Client, make: Make) -> None:
    make()
    assert request_known(operator_client, [FILE], token=False).status == 403
    assert Client().post(URL, "{}", content_type="application/json").status_code == 302


# --- On the page ------------------------------------------------------------------------------------------------------


def test_form_shows_unfinished_transfers(operator_client: Client, make: Make) -> None:
    silent = timezone.now() - timedelta(minutes=5)
    make(key="waits.bin", received_at=silent)
    make(key="arrives.bin")
    make(key="whole.bin", received_at=silent, all_received=True)
    make(key="strangers.bin", received_at=silent, owner=make_operator("eve"))
    text = Page(operator_client.get(reverse("new-transfer"))).text
    assert "waits.bin" in text
    assert "30%" in text
    for name in ("arrives.bin", "whole.bin", "strangers.bin"):
        assert name not in text
