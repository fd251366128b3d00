"""One-time links: who gets one, what it does, and what every other link says."""

from __future__ import annotations

import html
import logging
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.people import mail as mail_module
from tests.dashboard.people.conftest import signed_in
from tests.dashboard.people.test_users import page, text_of
from uploads.domain.roles import TokenScope
from uploads.models import AccessToken, AuditEntry, Invitation
from uploads.services.people.tokens import TokenValues, create_token

PASSWORD = "correct horse battery staple"
SET = {"password": PASSWORD, "again": PASSWORD}


def link_in(response: Any) -> str:
    found: set[str] = set(
        re.findall(r"http://testserver/invitation/\?token=[\w-]+", html.unescape(response.content.decode()))
    )
    (link,) = found
    return link


def secret_in(link: str) -> str:
    return parse_qs(urlsplit(link).query)["token"][0]


@pytest.fixture
def link(as_ada: Client) -> str:
    """That of a new user, ines."""
    return link_in(as_ada.post("/users/new/", {"username": "ines", "email": "ines@example.com"}))


def signs_in(name: str) -> bool:
    return Client().post("/login/", {"username": name, "password": PASSWORD}).status_code == 302


def accept(link: str, **changes: str) -> Any:
    return Client().post("/invitation/", {"token": secret_in(link)} | SET | changes)


def test_invited_user_sets_a_password_and_signs_in(as_ada: Client, link: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    user = User.objects.get(username="ines")
    assert not user.has_usable_password()
    assert "invited" in text_of(as_ada.get("/users/"))
    shown = Client().get(link)
    assert "ines" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert accept(link).status_code == 303
    assert signs_in("ines")
    used = accept(link, password="another good password", again="another good password")
    assert (used.status_code, "This link has been used" in text_of(used)) == (410, True)
    assert signs_in("ines")
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert [each for each in actions if each.startswith(("user.", "invitation."))] == [
        "user.added",
        "invitation.created",
        "invitation.used",
    ]
    stored = str(list(AuditEntry.objects.values())) + str(list(Invitation.objects.values()))
    assert secret_in(link) not in caplog.text + stored


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"again": "something else"}, "The two passwords differ."),
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "password1234", "again": "password1234"}, "too common"),
        ({"password": "", "again": ""}, "required"),
    ],
)
def test_password_rules(link: str, changes: dict[str, str], text: str) -> None:
    response = accept(link, **changes)
    assert (response.status_code, text in text_of(response)) == (400, True)
    assert accept(link).status_code == 303


def test_expired_link_says_so(link: str) -> None:
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    for response in (Client().get(link), accept(link)):
        assert (response.status_code, "has expired" in text_of(response)) == (410, True)
    assert not User.objects.get(username="ines").has_usable_password()


def test_new_link_replaces_the_old_one(as_ada: Client, link: str) -> None:
    ines = User.objects.get(username="ines")
    newer = link_in(as_ada.post(f"{page(ines)}link/"))
    assert "newer link has replaced it" in text_of(Client().get(link))
    assert accept(newer).status_code == 303


def test_revoked_link_and_that_of_a_disabled_user_end(as_ada: Client, link: str) -> None:
    ines = User.objects.get(username="ines")
    as_ada.post(f"{page(ines)}link/revoke/")
    assert accept(link).status_code == 410
    newer = link_in(as_ada.post(f"{page(ines)}link/"))
    as_ada.post(f"{page(ines)}disable/")
    assert accept(newer).status_code == 410
    assert as_ada.post(f"{page(ines)}link/").status_code == 409
    as_ada.post(f"{page(ines)}enable/")
    assert accept(newer).status_code == 410


@pytest.mark.parametrize("token", ["", "unknown", "x" * 500])
def test_unknown_link_is_explained(db: None, token: str) -> None:
    for response in (Client().get("/invitation/", {"token": token}), Client().post("/invitation/", {"token": token})):
        assert (response.status_code, "This link is not valid" in text_of(response)) == (410, True)


def test_link_of_a_user_with_a_password_resets_it(as_ada: Client, olga: User) -> None:
    """And ends the sessions of whoever knows the old one."""
    theirs = signed_in(olga)
    assert accept(link_in(as_ada.post(f"{page(olga)}link/"))).status_code == 303
    assert theirs.get("/tokens/").status_code == 302


def test_link_revokes_the_tokens_of_its_user(as_ada: Client, olga: User, ada: User) -> None:
    values = TokenValues(name="backup", scopes=frozenset({TokenScope.READ}), days=1)
    theirs, mine = create_token(olga, values)[0], create_token(ada, values)[0]
    link = link_in(as_ada.post(f"{page(olga)}link/"))
    assert "Your access tokens stop working." in Client().get(link).content.decode()
    assert accept(link, again="different").status_code == 400
    assert AccessToken.objects.filter(revoked_at=None).count() == 2
    assert accept(link).status_code == 303
    assert list(AccessToken.objects.filter(revoked_at=None)) == [mine]
    entry = AuditEntry.objects.get(action="token.revoked")
    assert (entry.actor, entry.detail["token"]) == (olga, theirs.pk)


def test_link_is_mailed_where_mail_is_configured(as_ada: Client, settings: Settings, olga: User) -> None:
    settings.EMAIL_BACKEND = mail_module.NOBODY
    unsent = as_ada.post(f"{page(olga)}link/")
    assert "This site sends no mail" in text_of(unsent)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    sent = as_ada.post(f"{page(olga)}link/")
    (message,) = mail.outbox
    assert message.to == ["olga@example.com"]
    assert link_in(sent) in message.body
    assert "It was mailed to" in text_of(sent)
    settings.EMAIL_BACKEND = "tests.dashboard.people.test_invitations.Broken"
    failed = as_ada.post(f"{page(olga)}link/")
    assert "could not be sent" in text_of(failed)
    assert link_in(failed)


class Broken:
    """A mail server that refuses the connection."""

    def __init__(self, **_: Any) -> None: ...

    def send_messages(self, _: Any) -> int:
        raise ConnectionRefusedError


def test_names_are_unique_whatever_their_case(as_ada: Client, olga: User) -> None:
    for name in ("olga", "OLGA", "", "a b", "a\x07"):
        assert as_ada.post("/users/new/", {"username": name}).status_code == 400, name
    assert User.objects.count() == 2
