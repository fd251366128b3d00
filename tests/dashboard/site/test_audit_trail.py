"""Refusals in the audit log: which requests count, what is recorded of them, and how many."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.site import audit_trail
from tests.dashboard.make_transfer import make_transfer
from uploads.domain.roles import Role
from uploads.domain.states import Phase
from uploads.models import AuditEntry, Grant, Store


@pytest.fixture
def client(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def store(db: None) -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


def refusals() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(outcome="refused").order_by("pk"))


def test_action_that_the_role_does_not_include_is_recorded(client: Client, store: Store, operator: User) -> None:
    assert client.post("/stores/s/disable/", REMOTE_ADDR="192.0.2.1").status_code == 403
    (entry,) = refusals()
    assert (entry.actor, entry.action, entry.store, entry.address, entry.means) == (
        *(operator, "store.refused", "s", "192.0.2.1", "page"),
    )
    assert (entry.detail["status"], entry.detail["page"]) == (403, "disable-store")
    assert entry.detail["reason"]["code"] == "RoleRequired"


def test_upload_that_is_not_visible_is_recorded_with_its_name(client: Client, store: Store, operator: User) -> None:
    Grant.objects.all().delete()
    Grant.objects.create(user=operator, role=Role.OPERATOR, store=store, bucket="other")
    assert client.post("/stores/s/photos/uploads/abort/", {"key": "k", "upload-id": "u"}).status_code == 404
    (entry,) = refusals()
    subject = (entry.store, entry.bucket, entry.key, entry.upload_id)
    assert (entry.action, *subject) == ("abort.refused", "s", "photos", "k", "u")


def test_step_that_is_not_possible_is_recorded_with_its_transfer(client: Client, store: Store, operator: User) -> None:
    transfer = make_transfer(operator, store, bucket="photos", key="k", phase=Phase.DONE)
    response = client.post(f"/transfers/{transfer.pk}/pause/", headers={"Accept": "application/json"})
    assert response.status_code == 409
    (entry,) = refusals()
    assert (entry.action, entry.transfer_id, entry.bucket, entry.key) == (
        "transfer.refused",
        transfer.pk,
        "photos",
        "k",
    )
    assert entry.detail["code"] == "StepRefused"


def test_known_files_of_a_place_that_is_not_visible_are_recorded(client: Client, store: Store, operator: User) -> None:
    """The request can allow transfers to replace objects."""
    Grant.objects.all().delete()
    Grant.objects.create(user=operator, role=Role.OPERATOR, store=store, bucket="other")
    body = {"store": "s", "bucket": "photos", "files": []}
    assert client.post("/transfers/new/known/", body, content_type="application/json").status_code == 404
    assert [(entry.action, entry.detail["page"]) for entry in refusals()] == [
        ("transfer.refused", "new-transfer-known")
    ]


def test_page_that_the_role_does_not_include_is_recorded(client: Client) -> None:
    assert client.get("/staging/").status_code == 403
    assert [(entry.action, entry.detail["page"]) for entry in refusals()] == [("request.refused", "staging")]


def test_pages_that_are_not_there_are_not_recorded(client: Client) -> None:
    assert client.get("/stores/nowhere/").status_code == 404
    assert client.get(f"/transfers/{uuid.uuid4()}/").status_code == 404
    assert client.get("/no/such/page/").status_code == 404
    assert refusals() == []


@pytest.mark.usefixtures("db")
def test_scan_without_a_user_leaves_nothing() -> None:
    anonymous = Client()
    for path in (
        "/",
        "/staging/",
        "/stores/s/disable/",
        "/.env",
        "/audit/?format=csv",
        f"/transfers/{uuid.uuid4()}/pause/",
    ):
        anonymous.get(path)
        anonymous.post(path)
    assert not AuditEntry.objects.exists()


def test_refusals_of_a_user_are_limited(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "MOST_IN_A_MINUTE", 3)
    monkeypatch.setattr("dashboard.site.audit_trail.time.monotonic", lambda: 6000.0)
    for _ in range(5):
        client.post("/stores/s/disable/")
    assert ["not_all" in entry.detail for entry in refusals()] == [False, False, True]
    monkeypatch.setattr("dashboard.site.audit_trail.time.monotonic", lambda: 6060.0)
    client.post("/stores/s/disable/")
    assert len(refusals()) == 4


def test_refusal_that_cannot_be_recorded_is_still_a_refusal(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.site.audit_trail.audit.record", lambda *_, **__: 1 / 0)
    assert client.post("/stores/s/disable/").status_code == 403


@pytest.mark.parametrize(
    ("view", "thing"),
    [
        *(("abort", "abort"), ("transfer-pause", "transfer"), ("files", "transfer"), ("edit-store", "store")),
        *(("revoke-token", "user"), ("tokens", "user"), ("disable-user", "user"), ("remove-grant", "user")),
        ("x", "request"),
    ],
)
def test_refusals_are_found_by_what_they_are_about(view: str, thing: str) -> None:
    assert audit_trail.thing_of(view) == thing
