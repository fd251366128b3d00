"""The pages of access tokens."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.dashboard.people.conftest import signed_in
from tests.grants import grant
from uploads.domain.roles import Role, TokenScope
from uploads.models import AccessToken, AuditEntry, Store
from uploads.services.people.tokens import TokenValues, create_token

FORM = {"name": "nightly backup", "scopes": ["read", "transfer"], "days": "7", "places": "swift/photos/2026/\n"}


@pytest.fixture
def operator(olga: User, store: Store) -> Client:
    grant(olga, Role.OPERATOR)
    return signed_in(olga)


def test_secret_is_shown_once(operator: Client, olga: User, store: Store) -> None:
    created = operator.post("/tokens/new/", FORM)
    (secret,) = set(re.findall(r"partway_[\w-]{43}", created.content.decode()))
    assert "no-store" in created["Cache-Control"]
    listed = operator.get("/tokens/").content.decode()
    assert "nightly backup" in listed
    assert "swift/photos/2026/" in listed
    assert secret not in listed
    token = AccessToken.objects.get()
    assert (token.user, token.scopes) == (olga, ["read", "transfer"])
    entry = AuditEntry.objects.get(action="token.created")
    assert entry.after["places"] == ["swift/photos/2026/"]
    assert operator.get("/stores/", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


def test_sending_the_form_again_makes_no_second_token(operator: Client) -> None:
    operator.post("/tokens/new/", FORM)
    again = operator.post("/tokens/new/", FORM)
    assert (again.status_code, AccessToken.objects.count()) == (400, 1)
    assert "You already have a token" in again.content.decode()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "required"),
        ({"scopes": []}, "Select at least one"),
        ({"scopes": ["administer"]}, "not one of the available choices"),
        ({"days": "10000"}, "not one of the available choices"),
        ({"places": "nowhere/bucket"}, "There is no store “nowhere”"),
        ({"places": "swift/no bucket/"}, "is not a bucket name"),
        ({"places": "swift//prefix"}, "has a prefix, but no bucket"),
        ({"places": "swift/bucket/" + "ä" * 600}, "at most 1,024 bytes"),
        ({"places": "swift\n" * 51}, None),
        ({"places": "".join(f"swift/bucket/{number}\n" for number in range(51))}, "at most 50 lines"),
    ],
)
def test_wrong_values_are_explained(operator: Client, changes: dict[str, object], text: str | None) -> None:
    response = operator.post("/tokens/new/", FORM | changes)
    if text is None:
        return
    assert (response.status_code, AccessToken.objects.count()) == (400, 0)
    assert text in response.content.decode()


def test_spaces_of_a_prefix_are_kept(operator: Client) -> None:
    operator.post("/tokens/new/", FORM | {"places": "swift/photos/ a \r\nswift/photos/b"})
    assert [place.prefix for place in AccessToken.objects.get().places.all()] == [" a ", "b"]


def test_store_that_the_user_may_not_see_does_not_exist(olga: User, store: Store, other_store: Store) -> None:
    grant(olga, Role.VIEWER, store=other_store)
    response = signed_in(olga).post("/tokens/new/", FORM)
    assert "There is no store “swift”" in response.content.decode()


def test_own_tokens_are_revoked(operator: Client) -> None:
    operator.post("/tokens/new/", FORM)
    token = AccessToken.objects.get()
    assert "Revoke the token" in operator.get(f"/tokens/{token.pk}/revoke/").content.decode()
    assert operator.post(f"/tokens/{token.pk}/revoke/").status_code == 303
    token.refresh_from_db()
    assert token.state == "revoked"
    assert operator.post(f"/tokens/{token.pk}/revoke/").status_code == 303
    assert AuditEntry.objects.filter(action="token.revoked").count() == 1


def test_administrators_see_and_revoke_those_of_others(as_ada: Client, olga: User, stella: User) -> None:
    token, _ = create_token(olga, TokenValues(name="of olga", scopes=frozenset({TokenScope.READ}), days=1))
    assert "of olga" not in as_ada.get("/tokens/").content.decode()
    assert "of olga" in as_ada.get("/tokens/?of=all").content.decode()
    other = signed_in(stella)
    assert "of olga" not in other.get("/tokens/?of=all").content.decode()
    for method in (other.get, other.post):
        assert method(f"/tokens/{token.pk}/revoke/").status_code == 404
    assert as_ada.post(f"/tokens/{token.pk}/revoke/").status_code == 303
    assert AuditEntry.objects.get(action="token.revoked").actor_name == "ada"


def test_list_is_paged(operator: Client, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.people.tokens.PAGE_SIZE", 2)
    for number in range(3):
        create_token(olga, TokenValues(name=f"token-{number}", scopes=frozenset({TokenScope.READ}), days=1))
    first = operator.get("/tokens/").content.decode()
    assert "token-2" in first
    assert "token-0" not in first
    (older,) = re.findall(r'href="\?(before=\d+)"', first)
    second = operator.get(f"/tokens/?{older}").content.decode()
    assert "token-0" in second
    assert "token-1" not in second
