"""The pages of users and groups: who may grant what to whom, and that somebody can always administer the site."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.dashboard.people.conftest import signed_in
from tests.grants import grant
from uploads.domain.roles import Role, TokenScope
from uploads.models import AuditEntry, Grant, Store
from uploads.services.people.tokens import TokenValues, create_token


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def page(user: User) -> str:
    return f"/users/{user.pk}/"


# --- The list ---------------------------------------------------------------------------------------------------------


def test_list_shows_roles_and_states(as_ada: Client, olga: User, stella: User) -> None:
    User.objects.create(username="dora", password="x", is_active=False)
    listed = text_of(as_ada.get("/users/"))
    for name in ("ada", "olga", "stella", "dora", "olga@example.com", "Store administrator", "disabled", "never"):
        assert name in listed
    found = text_of(as_ada.get("/users/?q=OLGA@"))
    assert "olga" in found
    assert "stella" not in found
    found = text_of(as_ada.get("/users/?role=store-administrator"))
    assert "stella" in found
    assert "olga" not in found
    assert "No user matches" in text_of(as_ada.get("/users/?q=nobody"))


def test_administrators_of_a_store_do_not_find_users_by_address(as_stella: Client, olga: User) -> None:
    found = text_of(as_stella.get("/users/?q=OLGA"))
    assert "olga" in found
    assert "e-mail" not in found
    assert "No user matches" in text_of(as_stella.get("/users/?q=olga@"))


def test_list_is_paged_by_name_with_a_bounded_number_of_queries(
    as_ada: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries, store: Store
) -> None:
    monkeypatch.setattr("dashboard.people.users.PAGE_SIZE", 10)
    users = User.objects.bulk_create(User(username=f"user-{number:02}", password="x") for number in range(20))
    group = Group.objects.create(name="readers")
    group.user_set.set(users[:5])
    grant(group, Role.VIEWER, store=store)
    for user in users:
        grant(user, Role.OPERATOR, store=store)
    with django_assert_max_num_queries(12):
        first = text_of(as_ada.get("/users/?q=user"))
    assert "user-09" in first
    assert "user-10" not in first
    second = text_of(as_ada.get("/users/?q=user&after=user-09"))
    assert "user-10" in second
    assert "user-09" not in second


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_users_who_grant_nothing_see_no_users(olga: User, store: Store, role: Role) -> None:
    grant(olga, role)
    client = signed_in(olga)
    for path in ("/users/", "/users/groups/", "/users/new/", page(olga)):
        assert client.get(path).status_code == 403, path
        assert client.post(path).status_code in (403, 405), path


# --- Grants -----------------------------------------------------------------------------------------------------------


def test_administrator_grants_and_takes_away(as_ada: Client, olga: User, store: Store) -> None:
    form = {"role": "operator", "store": "swift", "bucket": "photos", "key_prefix": "2026/ ", "all_transfers": "on"}
    assert as_ada.post(page(olga), form).status_code == 303
    given = Grant.objects.get()
    assert (given.user, given.store, given.bucket, given.prefix) == (olga, store, "photos", "2026/ ")
    assert given.created_by is not None
    entry = AuditEntry.objects.get(action="grant.added")
    expected = {"role": "operator", "store": "swift", "bucket": "photos", "prefix": "2026/ ", "all_transfers": True}
    assert (entry.after, entry.store, entry.bucket, entry.detail) == (expected, "swift", "", {"user": "olga"})
    again = as_ada.post(page(olga), form)
    assert (again.status_code, Grant.objects.count()) == (400, 1)
    assert "This grant exists already." in text_of(again)
    assert as_ada.post(f"/users/grants/{given.pk}/remove/").status_code == 303
    assert AuditEntry.objects.get(action="grant.removed").before == expected
    assert as_ada.post(f"/users/grants/{given.pk}/remove/").status_code == 404


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"role": "viewer", "bucket": "photos"}, "Select the store of this bucket."),
        ({"role": "viewer", "store": "swift", "key_prefix": "a/"}, "Enter the bucket of this prefix."),
        ({"role": "viewer", "store": "swift", "bucket": "no bucket"}, "is not a bucket name"),
        ({"role": "viewer", "store": "swift", "bucket": "b", "key_prefix": "x" * 1025}, "at most 1024 characters"),
        ({"role": "administrator", "store": "swift"}, "An administrator has all stores."),
        ({"role": "store-administrator", "store": "swift", "bucket": "photos"}, "has all of it"),
        ({"role": "emperor"}, "not one of the available choices"),
        ({"role": "viewer", "store": "nowhere"}, "not one of the available choices"),
    ],
)
def test_places_that_do_not_fit_are_explained(as_ada: Client, olga: User, store: Store, form: Any, text: str) -> None:
    response = as_ada.post(page(olga), form)
    assert (response.status_code, Grant.objects.count()) == (400, 0)
    assert text in text_of(response)


def test_administrator_of_a_store_grants_less_there(
    as_stella: Client, olga: User, store: Store, other_store: Store
) -> None:
    grant(olga, Role.VIEWER, store=other_store)
    shown = text_of(as_stella.get(page(olga)))
    assert "ceph" not in shown
    assert "Account" not in shown
    assert "olga@example.com" not in shown + text_of(as_stella.get("/users/"))
    assert as_stella.post(page(olga), {"role": "operator", "store": "swift"}).status_code == 303
    for form in (
        {"role": "store-administrator", "store": "swift"},
        {"role": "administrator"},
        {"role": "viewer"},
        {"role": "viewer", "store": "ceph"},
    ):
        assert as_stella.post(page(olga), form).status_code == 400, form
    assert Grant.objects.filter(user=olga, store=store).count() == 1
    elsewhere = Grant.objects.get(user=olga, store=other_store)
    assert as_stella.post(f"/users/grants/{elsewhere.pk}/remove/").status_code == 404
    equal = Grant.objects.get(role=Role.STORE_ADMINISTRATOR)
    assert as_stella.post(f"/users/grants/{equal.pk}/remove/").status_code == 403
    given = Grant.objects.get(user=olga, store=store)
    assert as_stella.post(f"/users/grants/{given.pk}/remove/").status_code == 303


@pytest.mark.parametrize(
    "what",
    [
        "email",
        "groups",
        "disable",
        "enable",
        "remove-administrator",
        "sign-out",
        "unlock",
        "second-factor",
        "link",
        "link/revoke",
    ],
)
def test_administrator_of_a_store_changes_no_user(as_stella: Client, olga: User, what: str) -> None:
    assert as_stella.post(f"{page(olga)}{what}/").status_code == 403


# --- Groups -----------------------------------------------------------------------------------------------------------


def test_group_gives_its_roles_to_its_members(as_ada: Client, olga: User, store: Store) -> None:
    assert as_ada.post("/users/groups/", {"name": "readers"}).status_code == 303
    assert "There is already a group" in text_of(as_ada.post("/users/groups/", {"name": "Readers"}))
    group = Group.objects.get()
    at_group = f"/users/groups/{group.pk}/"
    assert as_ada.post(at_group, {"role": "viewer", "store": "swift"}).status_code == 303
    assert signed_in(olga).get("/stores/swift/check/").status_code in (403, 404)
    assert as_ada.post(f"{at_group}members/", {"member": "olga"}).status_code == 303
    assert signed_in(olga).get("/stores/swift/check/").status_code == 200
    assert "through the group readers" in text_of(as_ada.get(page(olga)))
    assert "There is no user" in text_of(as_ada.post(f"{at_group}members/", {"member": "nobody"}))
    assert as_ada.post(f"{at_group}members/", {"remove": "olga"}).status_code == 303
    assert not group.user_set.exists()
    assert as_ada.post(f"{page(olga)}groups/", {"groups": [str(group.pk)]}).status_code == 303
    assert as_ada.post(f"{page(olga)}groups/", {"groups": ["999"]}).status_code == 400
    assert "1 member loses" in text_of(as_ada.get(f"{at_group}delete/"))
    assert as_ada.post(f"{at_group}delete/").status_code == 303
    assert AuditEntry.objects.get(action="group.deleted").before["members"] == ["olga"]
    assert signed_in(olga).get("/stores/swift/check/").status_code in (403, 404)
    assert "No groups yet" in text_of(as_ada.get("/users/groups/"))


# --- The last administrator -------------------------------------------------------------------------------------------


def test_last_administrator_stays(as_ada: Client, ada: User, olga: User) -> None:
    for path in (f"{page(ada)}disable/", f"{page(ada)}remove-administrator/"):
        refused = as_ada.post(path)
        assert refused.status_code == 409, path
        assert "Nobody would be left who can administer this site" in text_of(refused)
    # One who was invited and has never signed in does not count.
    invited = User.objects.create(username="ines", is_staff=True)
    invited.set_unusable_password()
    invited.save()
    assert as_ada.post(f"{page(ada)}disable/").status_code == 409
    group = Group.objects.create(name="administrators")
    group.user_set.add(olga)
    given = grant(group, Role.ADMINISTRATOR)
    assert as_ada.post(f"{page(ada)}remove-administrator/").status_code == 303
    as_olga = signed_in(olga)
    for path, form in (
        (f"/users/grants/{given.pk}/remove/", {}),
        (f"/users/groups/{group.pk}/members/", {"remove": "olga"}),
        (f"/users/groups/{group.pk}/delete/", {}),
        (f"{page(olga)}groups/", {"groups": []}),
        (f"{page(olga)}disable/", {}),
    ):
        assert as_olga.post(path, form).status_code == 409, path
    assert group.user_set.get() == olga
    assert AuditEntry.objects.filter(action="user.changed").count() == 1


# --- Disabling --------------------------------------------------------------------------------------------------------


def test_disabled_user_is_out_at_once(as_ada: Client, olga: User, store: Store) -> None:
    grant(olga, Role.OPERATOR)
    _, secret = create_token(olga, TokenValues(name="t", scopes=frozenset({TokenScope.READ}), days=1))
    theirs = signed_in(olga)
    headers = {"Authorization": f"Bearer {secret}"}
    assert theirs.get("/transfers/").status_code == Client().get("/stores/", headers=headers).status_code == 200
    assert "All sessions end" in text_of(as_ada.get(f"{page(olga)}disable/"))
    assert as_ada.post(f"{page(olga)}disable/").status_code == 303
    assert theirs.get("/transfers/").status_code == 302
    assert Client().get("/stores/", headers=headers).status_code == 401
    for path in (page(olga), "/tokens/?of=all"):
        assert "state-good" not in as_ada.get(path).content.decode(), "A token of a disabled user has no green dot."
    assert as_ada.post(f"{page(olga)}enable/").status_code == 303
    assert theirs.get("/transfers/").status_code == 302, "the old session stays ended"
    assert Client().get("/stores/", headers=headers).status_code == 200
    entry = AuditEntry.objects.get(action="user.disabled")
    assert (entry.before, entry.after) == ({"enabled": True}, {"enabled": False})


def test_sign_out_everywhere(as_ada: Client, olga: User) -> None:
    theirs = signed_in(olga)
    assert as_ada.post(f"{page(olga)}sign-out/").status_code == 303
    assert theirs.get("/tokens/").status_code == 302
    assert AuditEntry.objects.filter(action="session.ended-everywhere").exists()


def test_email_is_changed(as_ada: Client, olga: User) -> None:
    assert as_ada.post(f"{page(olga)}email/", {"email": "new@example.com"}).status_code == 303
    assert as_ada.post(f"{page(olga)}email/", {"email": "no address"}).status_code == 400
    entry = AuditEntry.objects.get(action="user.changed")
    assert (entry.before, entry.after) == ({"email": "olga@example.com"}, {"email": "new@example.com"})


def test_lock_is_shown_and_lifted(as_ada: Client, olga: User, settings: Settings) -> None:
    assert "Lift the lock" not in text_of(as_ada.get(page(olga)))
    for _ in range(settings.SIGN_IN_ACCOUNT_FAILURES):
        Client().post("/login/", {"username": "olga", "password": "wrong"})
    assert "The account is locked until" in text_of(as_ada.get(page(olga)))
    assert as_ada.post(f"{page(olga)}unlock/").status_code == 303
    assert "Lift the lock" not in text_of(as_ada.get(page(olga)))
    assert AuditEntry.objects.get(action="sign-in.unlocked").actor_name == "ada"
