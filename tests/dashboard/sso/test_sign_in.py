"""Signing in with a real OpenID provider: who is signed in, as whom, and who is not."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django import Settings

from dashboard.sso import failures
from tests.dashboard.sso.conftest import START, Visitor
from tests.openid import CLIENT_SECRET, Provider
from uploads.models import AuditEntry, Session, SignOnIdentity


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


# --- The way there and back -------------------------------------------------------------------------------------------


def test_person_signs_in_and_comes_to_the_page_that_was_requested(visitor: Visitor, openid: Provider) -> None:
    asked = visitor.client.get("/transfers/?state=done")
    login = visitor.client.get(asked["Location"])
    assert "Sign in with Example ID" in text_of(login)
    assert "/login/sso/?next=%2Ftransfers%2F%3Fstate%3Ddone" in text_of(login)
    response = visitor.sign_in("/transfers/?state=done")
    assert (response.status_code, response["Location"]) == (302, "/transfers/?state=done")
    assert visitor.username == "vera"
    identity = SignOnIdentity.objects.get()
    assert (identity.issuer, identity.subject) == (openid.issuer, visitor.subject)
    assert not identity.user.has_usable_password()
    assert not identity.user.is_staff
    actions = list(AuditEntry.objects.order_by("id").values_list("action", "actor_name"))
    assert actions == [("single-sign-on.user-created", "vera"), ("sign-in.done", "vera")]


def test_request_has_state_nonce_and_proof_key(visitor: Visitor) -> None:
    first, second = (parse_qs(urlsplit(visitor.leave()).query) for _ in range(2))
    assert first["code_challenge_method"] == ["S256"]
    assert first["response_type"] == ["code"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 20
        assert first[name] != second[name]


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:///evil"]
)
def test_next_page_is_one_of_this_site(visitor: Visitor, address: str) -> None:
    response = visitor.sign_in(address)
    assert (response.status_code, response["Location"]) == (302, "/")


def test_several_windows_sign_in_at_the_same_time(visitor: Visitor, openid: Provider) -> None:
    first, second = visitor.leave("/transfers/"), visitor.leave("/audit/")
    back = visitor.come_back(openid.sign_in(second, visitor.subject))
    assert back["Location"] == "/audit/"
    back = visitor.come_back(openid.sign_in(first, visitor.subject))
    assert back["Location"] == "/transfers/"


def test_only_the_browser_that_left_can_come_back_and_only_once(visitor: Visitor, openid: Provider) -> None:
    back = openid.sign_in(visitor.leave(), visitor.subject)
    stranger = Visitor(openid)
    response = stranger.come_back(back)
    assert response.status_code == 400
    assert "in another browser" in text_of(response)
    assert stranger.username == ""
    assert visitor.come_back(back).status_code == 302
    visitor.client.logout()
    assert visitor.come_back(back).status_code == 400


def test_sign_in_without_a_provider_does_not_exist(settings: Settings) -> None:
    settings.OIDC_ISSUER = settings.OIDC_CLIENT_ID = settings.OIDC_CLIENT_SECRET = ""
    assert Client().get(START).status_code == 404
    assert Client().get(f"{START}callback/?code=a&state=b").status_code == 404
    assert "sso" not in text_of(Client().get("/login/"))


# --- What the provider says -------------------------------------------------------------------------------------------


def changed(url: str, **values: str) -> str:
    """The address with other parameters."""
    parts = urlsplit(url)
    query = {name: found[0] for name, found in parse_qs(parts.query).items()} | values
    return parts._replace(query="&".join(f"{name}={value}" for name, value in query.items() if value)).geturl()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"code": "made-up"}, "did not sign you in (invalid_grant)"),
        ({"code": ""}, "is not valid"),
        ({"iss": "https://evil.example"}, "is not valid"),
        ({"iss": ""}, "is not valid"),
        ({"error": "access_denied", "code": ""}, "did not sign you in (access_denied)"),
        ({"error": "<script>", "code": ""}, "did not sign you in (unknown)"),
    ],
)
def test_response_that_is_not_as_it_should_be_signs_nobody_in(
    visitor: Visitor, openid: Provider, values: dict[str, str], message: str
) -> None:
    response = visitor.come_back(changed(openid.sign_in(visitor.leave(), visitor.subject), **values))
    assert response.status_code == 403
    assert message in text_of(response)
    assert "Try again" in text_of(response)
    assert visitor.username == ""
    assert AuditEntry.objects.get().action == "sign-in.failed"


def test_nonce_of_another_sign_in_is_refused(visitor: Visitor, openid: Provider) -> None:
    """The ID token belongs to a sign-in that this browser did not begin."""
    back = openid.sign_in(changed(visitor.leave(), nonce="another-nonce-of-the-attacker"), visitor.subject)
    response = visitor.come_back(back)
    assert (response.status_code, visitor.username) == (403, "")


def test_code_of_another_sign_in_is_refused(visitor: Visitor, openid: Provider) -> None:
    """PKCE: the code of a victim cannot be used in a sign-in of the attacker, although the client is the same."""
    victim = Visitor(openid, preferred_username="victim")
    stolen = parse_qs(urlsplit(openid.sign_in(victim.leave(), victim.subject)).query)["code"][0]
    response = visitor.come_back(changed(openid.sign_in(visitor.leave(), visitor.subject), code=stolen))
    assert (response.status_code, visitor.username) == (403, "")


@pytest.mark.parametrize("kid", ["second", "first"])
def test_rotated_keys_are_read_again(visitor: Visitor, openid: Provider, kid: str) -> None:
    """With a new name, and even with the old one."""
    visitor.sign_in()
    openid.rotate_keys(kid)
    assert visitor.sign_in().status_code == 302
    openid.rotate_keys("first")
    assert visitor.sign_in().status_code == 302


def test_claims_may_be_at_the_userinfo_endpoint(visitor: Visitor, openid: Provider, settings: Settings) -> None:
    settings.OIDC_GROUP_ROLES = "media=Media"
    openid.put_claims_in_id_token(inside=False)
    visitor.set(preferred_username="uma", groups=["media"])
    assert visitor.sign_in().status_code == 302
    assert visitor.username == "uma"
    assert [group.name for group in User.objects.get(username="uma").groups.all()] == ["Media"]


# --- Who it is --------------------------------------------------------------------------------------------------------


def test_name_at_the_provider_is_no_user_here(visitor: Visitor, settings: Settings) -> None:
    """Neither by name nor by e-mail address, unless a setting says so."""
    User.objects.create_user("Admin", "admin@example.org", is_staff=True)
    settings.OIDC_BREAK_GLASS_USER = "rescue"
    visitor.set(preferred_username="admin", email="admin@example.org", email_verified=True)
    visitor.sign_in()
    assert visitor.username == "admin-2"
    rescue = Visitor(visitor.openid, preferred_username="rescue")
    rescue.sign_in()
    assert rescue.username == "rescue-2"


def test_person_is_the_same_user_whatever_their_name_becomes(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.client.logout()
    visitor.set(preferred_username="renamed", email="new@example.org")
    visitor.sign_in()
    assert visitor.username == "vera"
    assert User.objects.count() == 1


def test_name_that_is_not_possible_here_is_changed(visitor: Visitor) -> None:
    visitor.set(preferred_username="<b>Vera & co</b>")
    visitor.sign_in()
    assert visitor.username == "b-Vera---co--b"


def test_hostile_claims_change_nothing_else(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_GROUP_ROLES = "media=Media"
    visitor.set(preferred_username="\0ev\ud800il\r\n", email=["a"], groups={"media": 1}, email_verified="true")
    assert visitor.sign_in().status_code == 302
    user = User.objects.get()
    assert (user.username, user.email, list(user.groups.all())) == ("evil", "", [])


def test_verified_address_links_an_existing_user_if_allowed(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    existing = User.objects.create_user("existing", "vera@example.org")
    visitor.set(email="Vera@example.org", email_verified=False)
    visitor.sign_in()
    assert visitor.username == "vera"
    other = Visitor(visitor.openid, email="Vera@example.org", email_verified=True)
    other.sign_in()
    assert other.username == "existing"
    assert existing.sign_on_identities.get().subject == other.subject
    # The address was given to another person since then.
    third = Visitor(visitor.openid, preferred_username="third", email="vera@example.org", email_verified=True)
    third.sign_in()
    assert third.username == "third"


def test_address_of_several_users_links_none(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    for name in ("one", "two"):
        User.objects.create_user(name, "vera@example.org")
    visitor.set(email="vera@example.org", email_verified=True)
    response = visitor.sign_in()
    assert response.status_code == 403
    assert "Several users here have the e-mail address vera@example.org" in text_of(response)
    assert not SignOnIdentity.objects.exists()


def test_disabled_user_stays_out(visitor: Visitor) -> None:
    visitor.sign_in()
    User.objects.update(is_active=False)
    assert visitor.client.get("/transfers/").status_code == 302, "the session ends"
    response = visitor.sign_in()
    assert response.status_code == 403
    assert "disabled" in text_of(response)
    failed = AuditEntry.objects.filter(action="sign-in.failed").get()
    assert (failed.actor_name, failed.detail["reason"]["code"]) == ("vera", "AccountDisabled")


def test_new_people_may_be_refused(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_CREATE_USERS = False
    response = visitor.sign_in()
    assert response.status_code == 403
    assert "You have no account here" in text_of(response)
    assert not User.objects.exists()


# --- Groups -----------------------------------------------------------------------------------------------------------


def groups_of(username: str) -> set[str]:
    return set(User.objects.get(username=username).groups.values_list("name", flat=True))


def test_groups_follow_the_provider_and_others_stay(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_GROUP_ROLES = '{"CN=media,OU=eu": "Media", "ops": "Operators", "unused": "Unused"}'
    visitor.set(groups=["CN=media,OU=eu", "ops", "unknown"])
    visitor.sign_in()
    assert groups_of("vera") == {"Media", "Operators"}
    User.objects.get().groups.add(Group.objects.create(name="By hand"))
    visitor.set(groups=["ops"])
    visitor.sign_in()
    assert groups_of("vera") == {"Operators", "By hand"}
    changes = AuditEntry.objects.filter(action="single-sign-on.groups-changed").order_by("id")
    assert [entry.after["groups"] for entry in changes] == [["Media", "Operators"], ["By hand", "Operators"]]
    assert not Group.objects.filter(name="Unused").exists()


def test_provider_makes_administrators_and_ends_only_those_that_it_made(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_GROUP_ROLES = "admins=administrator"
    visitor.set(groups=["admins"])
    visitor.sign_in()
    assert User.objects.get().is_staff
    visitor.set(groups=[])
    visitor.sign_in()
    assert not User.objects.get().is_staff
    User.objects.update(is_staff=True)
    visitor.sign_in()
    assert User.objects.get().is_staff, "given by hand"


def test_group_may_be_required(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_GROUP_ROLES = "media=Media"
    settings.OIDC_REQUIRE_GROUP = True
    visitor.set(groups=["others"])
    response = visitor.sign_in()
    assert response.status_code == 403
    assert "You are in no group that may use Partway" in text_of(response)
    visitor.set(groups=["media"])
    assert visitor.sign_in().status_code == 302


def test_groups_that_were_left_out_are_not_taken_for_none_or_for_the_old_ones(
    visitor: Visitor, settings: Settings
) -> None:
    settings.OIDC_GROUP_ROLES = "media=Media"
    visitor.set(_claim_names={"groups": "src1"})
    response = visitor.sign_in()
    assert response.status_code == 403
    assert "left out your groups" in text_of(response)


# --- Passwords --------------------------------------------------------------------------------------------------------


def test_passwords_can_be_left_to_one_account(settings: Settings) -> None:
    settings.OIDC_ONLY = True
    settings.OIDC_BREAK_GLASS_USER = "rescue"
    settings.AUTHENTICATION_BACKENDS = ["dashboard.sso.backends.Passwords"]
    for name in ("rescue", "other"):
        User.objects.create_user(name, password="a password of a user")
    client = Client()
    assert "Sign in with a password" in text_of(client.get("/login/"))
    refused = client.post("/login/", {"username": "other", "password": "a password of a user"})
    assert refused.status_code == 200
    assert "correct username and password" in text_of(refused)
    assert client.post("/login/", {"username": "rescue", "password": "a password of a user"}).status_code == 302
    settings.OIDC_BREAK_GLASS_USER = ""
    assert client.get("/transfers/").status_code == 302, "the session ends"
    assert "assword" not in text_of(Client().get("/login/"))


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_session_may_end_with_the_token(visitor: Visitor, openid: Provider, settings: Settings) -> None:
    settings.OIDC_SESSION_FOLLOWS_TOKEN = True
    openid.set_lifetime(300)
    visitor.sign_in()
    row = Session.objects.get()
    assert row.signed_in_at is not None
    assert 0 < (row.expire_date - row.signed_in_at).total_seconds() <= 301


def test_session_has_the_limits_of_the_site(visitor: Visitor, settings: Settings) -> None:
    settings.SESSION_MAX_SECONDS = 200
    visitor.sign_in()
    row = Session.objects.get()
    assert row.signed_in_at is not None
    assert 0 < (row.expire_date - row.signed_in_at).total_seconds() <= 201


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_strangers_do_not_fill_the_audit_log(visitor: Visitor, openid: Provider, settings: Settings) -> None:
    """A sign-in that was begun can fail any number of times. A few of its failures are recorded."""
    url = changed(openid.sign_in(visitor.leave(), visitor.subject), error="access_denied", code="")
    begun = visitor.client.cookies["partway_sso"].value
    for _ in range(failures.MOST + 5):
        visitor.client.cookies["partway_sso"] = begun
        assert visitor.come_back(url).status_code == 403
    assert AuditEntry.objects.filter(action="sign-in.failed").count() == failures.MOST


def test_neither_logs_nor_database_have_a_secret(
    visitor: Visitor, openid: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("authlib").setLevel(logging.INFO)
    back = openid.sign_in(visitor.leave(), visitor.subject)
    code = parse_qs(urlsplit(back).query)["code"][0]
    visitor.come_back(back)
    visitor.client.get(START)
    stored = visitor.client.session
    values = " ".join(map(str, dict(stored).values()))
    logged = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for secret in (CLIENT_SECRET, code, "eyJ"):
        assert secret not in values
        assert secret not in logged
    entries = str(list(AuditEntry.objects.values()))
    assert code not in entries
