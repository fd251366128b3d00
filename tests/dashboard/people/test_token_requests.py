"""Requests with an access token: who they come from, what they may do, and what they leave behind."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.site.tokens import ACCEPTED
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.test_access import EVERY
from tests.grants import grant
from uploads import audit
from uploads.domain.roles import Role, TokenScope
from uploads.domain.states import DesiredState
from uploads.models import AccessToken, AuditEntry, Store, Transfer
from uploads.origin import current
from uploads.services.people.tokens import TokenValues, create_token, revoke_token

ALL = frozenset(TokenScope)


@pytest.fixture
def store(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="swift", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def user(db: None) -> User:
    user = User.objects.create(username="olga")
    grant(user, Role.OPERATOR)
    return user


def token_for(user: User, **changes: Any) -> str:
    given: dict[str, Any] = {"name": "script", "scopes": ALL, "days": 1} | changes
    return create_token(user, TokenValues(**given))[1]


def bearer(secret: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "Accept": "application/json", **more}


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def code_of(response: Any) -> str:
    return str(response.json()["error"]["code"])


def test_every_view_that_accepts_tokens_exists() -> None:
    assert set(ACCEPTED) <= set(EVERY)


def test_token_reads_without_a_session(client: Client, user: User, store: Store) -> None:
    response = client.get("/stores/", headers=bearer(token_for(user)))
    assert (response.status_code, [each["store"] for each in response.json()["stores"]]) == (200, ["swift"])
    assert not response.cookies
    assert "Authorization" in response["Vary"]


def test_programs_need_not_ask_for_json(client: Client, user: User, store: Store) -> None:
    """curl accepts anything by default. A browser that only accepts HTML is refused."""
    secret = token_for(user)
    assert client.get("/stores/", headers=bearer(secret, Accept="*/*"))["Content-Type"] == "application/json"
    refused = client.get("/stores/", headers=bearer(secret, Accept="text/html"))
    assert (refused.status_code, code_of(refused)) == (406, "NotAcceptable")


def test_token_changes_without_a_csrf_token(client: Client, user: User, store: Store) -> None:
    transfer = make_transfer(user, store, resumable=True)
    response = client.post(f"/transfers/{transfer.pk}/pause/", headers=bearer(token_for(user)))
    assert response.status_code == 200, response.content
    entry = AuditEntry.objects.get(action="transfer.paused")
    assert (entry.actor, entry.means, entry.token, entry.address) == (user, "token", "script", "127.0.0.1")


def test_work_refers_to_the_token_that_requested_it(client: Client, user: User, store: Store) -> None:
    transfer = make_transfer(user, store, resumable=True, desired_state=DesiredState.PAUSE)
    assert client.post(f"/transfers/{transfer.pk}/resume/", headers=bearer(token_for(user))).status_code == 200
    transfer.refresh_from_db()
    assert transfer.access_token == AccessToken.objects.get()
    client.force_login(user)
    assert client.get(f"/transfers/{transfer.pk}/").status_code == 200
    assert current().token_id is None


def test_form_without_the_header_still_needs_a_csrf_token(client: Client, user: User, store: Store) -> None:
    token_for(user)
    client.force_login(user)
    transfer = make_transfer(user, store)
    assert client.post(f"/transfers/{transfer.pk}/pause/").status_code == 403


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("path", ["/stores/", "/files/", "/tokens/", "/nowhere-near/"])
def test_wrong_token_never_falls_back_to_the_session(
    client: Client, user: User, store: Store, scheme: str, path: str
) -> None:
    client.force_login(user)
    response = client.get(path, headers={"Authorization": f"{scheme} partway_wrong", "Accept": "application/json"})
    if path == "/nowhere-near/":
        assert response.status_code == 404
        return
    assert (response.status_code, code_of(response)) == (401, "TokenUnknown")
    assert response["WWW-Authenticate"] == 'Bearer realm="Partway", error="invalid_token"'
    assert client.get("/stores/").status_code == 200


def test_session_without_a_token_is_told_how_to_authenticate(client: Client, db: None) -> None:
    assert client.get("/stores/", headers={"Accept": "application/json"})["WWW-Authenticate"].startswith("Bearer")


def test_token_ends_at_once(client: Client, user: User, store: Store) -> None:
    secret = token_for(user)
    token = AccessToken.objects.get()

    def refusal() -> str:
        response = client.get("/stores/", headers=bearer(secret))
        assert response.status_code == 401
        return code_of(response)

    User.objects.update(is_active=False)
    assert refusal() == "TokenUserDisabled"
    User.objects.update(is_active=True)
    AccessToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert refusal() == "TokenExpired"
    revoke_token(user, token)
    assert refusal() == "TokenRevoked"


def test_token_can_do_no_more_than_its_user(client: Client, user: User, store: Store) -> None:
    """Roles are read with each request."""
    secret = token_for(user)
    assert client.get("/stores/swift/check/", headers=bearer(secret)).status_code == 200
    user.grants.all().delete()
    assert client.get("/stores/swift/check/", headers=bearer(secret)).status_code in (403, 404)


@pytest.mark.parametrize("scope", list(TokenScope))
def test_scopes_narrow(client: Client, user: User, store: Store, scope: TokenScope) -> None:
    headers = bearer(token_for(user, scopes=frozenset({scope})))
    upload = {"key": "a.bin", "upload-id": "an-upload"}
    statuses = {
        TokenScope.READ: client.get("/operations/00000000-0000-0000-0000-000000000001/", headers=headers).status_code,
        TokenScope.TRANSFER: client.options("/files/", headers=headers).status_code,
        TokenScope.OPERATE: client.get("/stores/swift/a-bucket/uploads/abort/", upload, headers=headers).status_code,
    }
    is_refused = {each: status == 403 for each, status in statuses.items()}
    expected = {each: each is not scope for each in TokenScope}
    # Who aborts sees the operation.
    expected[TokenScope.READ] &= scope is not TokenScope.OPERATE
    assert is_refused == expected, statuses


def test_places_narrow(client: Client, user: User, store: Store) -> None:
    other = Store.objects.create(name="other", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    inside = make_transfer(user, store, bucket="photos", key="2026/a")
    outside = [make_transfer(user, store, bucket="photos", key="2025/a"), make_transfer(user, other, key="2026/a")]
    headers = bearer(token_for(user, places=[(store, "photos", "2026/")]))
    listed = client.get("/transfers/", headers=headers).json()["transfers"]
    assert [each["id"] for each in listed] == [str(inside.pk)]
    for transfer in outside:
        assert client.get(f"/transfers/{transfer.pk}/", headers=headers).status_code == 404


def test_token_of_an_administrator_does_not_administer(client: Client, store: Store, administrator: User) -> None:
    headers = bearer(token_for(administrator))
    for path in ("/users/", "/tokens/", "/users/new/", "/tokens/new/", "/stores/new/", "/", "/staging/"):
        for response in (client.get(path, headers=headers), client.post(path, headers=headers)):
            assert (response.status_code, code_of(response)) == (403, "TokenNotAccepted"), path
    assert client.post("/stores/swift/check/", headers=headers).status_code == 403


def test_views_for_everybody_ignore_the_header(client: Client, db: None) -> None:
    assert client.get("/healthz", headers=bearer("partway_wrong")).status_code == 200
    assert client.get("/login/", headers=bearer("partway_wrong", Accept="*/*")).status_code == 200


def test_tus_creates_with_a_token(client: Client, user: User, store: Store) -> None:
    headers = bearer(token_for(user), **{"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Metadata": ""})
    sent: dict[str, Any] = {"data": b"", "content_type": "application/offset+octet-stream"}
    response = client.post("/files/", headers=headers, **sent)
    assert (response.status_code, code_of(response)) == (400, "InvalidMetadata")
    headers["Authorization"] = "Bearer partway_wrong"
    response = client.post("/files/", headers=headers)
    assert (response.status_code, code_of(response)) == (401, "TokenUnknown")
    assert response["Tus-Resumable"] == "1.0.0"
    assert not Transfer.objects.exists()


def test_secret_reaches_neither_logs_nor_the_audit(
    client: Client, user: User, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = token_for(user)
    client.get("/stores/", headers=bearer(secret))
    client.post("/stores/new/", headers=bearer(secret))
    revoke_token(user, AccessToken.objects.get())
    client.get("/stores/", headers=bearer(secret))
    client.get("/stores/", headers=bearer(f"{secret}x"))
    written = caplog.text + str(list(AuditEntry.objects.values())) + str(list(AccessToken.objects.values()))
    assert secret not in written


def test_token_of_a_place_does_not_show_the_other_entries_of_its_owner(
    client: Client, user: User, store: Store
) -> None:
    audit.record(user, "password.changed")
    audit.record(user, "abort.ordered", store=store.name, bucket="photos", key="k")

    def shown(**values: Any) -> set[str]:
        secret = token_for(user, **values)
        return {each["action"] for each in client.get("/audit/", headers=bearer(secret)).json()["entries"]}

    assert {"password.changed", "abort.ordered"} <= shown(name="everywhere")
    assert shown(name="store", places=[(store, "", "")]) == {"abort.ordered"}
    assert shown(name="prefix", places=[(store, "photos", "a/")]) == set()
