"""The rules for passwords, wherever one is chosen, and changing one's own."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from local import launcher, preflight, site
from local.installation import Folder
from tests.grants import make_operator
from uploads.domain.roles import Role, TokenScope
from uploads.grants import unlimited
from uploads.models import AccessToken, AuditEntry
from uploads.services.people.tokens import TokenValues, create_token
from uploads.services.sign_in.new_user import add_user
from uploads.services.sign_in.passwords import check_rules

PASSWORD = "correct horse battery"
BAD = {
    "short pass": "at least 12",
    "password1234": "too common",
    "olga-olgason": "too similar to the username",
    "314159265358979": "entirely numeric",
}


def make_token(user: User) -> AccessToken:
    return create_token(user, TokenValues(name="backup", scopes=frozenset({TokenScope.READ}), days=1))[0]


@pytest.mark.parametrize(("password", "reason"), BAD.items())
def test_rules(password: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        check_rules(password, User(username="olga-olgasom"))


def test_password_is_changed_with_the_old_one(db: None) -> None:
    make_operator("olga", password=PASSWORD)
    client, other = Client(), Client()
    for each in (client, other):
        each.post("/login/", {"username": "olga", "password": PASSWORD})
    new = "another long passphrase"
    wrong = client.post("/account/password/", {"old": "wrong", "new": new, "again": new})
    assert "This is not your password." in wrong.content.decode()
    bad = client.post("/account/password/", {"old": PASSWORD, "new": "short pass", "again": "short pass"})
    assert "at least 12" in bad.content.decode()
    differs = client.post("/account/password/", {"old": PASSWORD, "new": new, "again": new + "x"})
    assert "The two passwords differ." in differs.content.decode()
    assert User.objects.get().check_password(PASSWORD)
    done = client.post("/account/password/", {"old": PASSWORD, "new": new, "again": new})
    assert (done.status_code, done["Location"]) == (303, "/account/")
    assert User.objects.get().check_password(new)
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302
    assert AuditEntry.objects.filter(action="password.changed", actor_name="olga").count() == 1


@pytest.mark.parametrize("revoke", [True, False])
def test_new_password_revokes_tokens_unless_they_are_kept(revoke: bool, db: None) -> None:
    olga, petra = make_operator("olga", password=PASSWORD), make_operator("petra")
    tokens = [make_token(user) for user in (olga, petra)]
    client = Client()
    client.force_login(olga)
    assert re.search(r'<input[^>]*name="revoke_tokens"[^>]* checked', client.get("/account/password/").content.decode())
    new = "another long passphrase"
    form = {"old": PASSWORD, "new": new, "again": new} | ({"revoke_tokens": "on"} if revoke else {})
    assert client.post("/account/password/", form | {"again": "x"}).status_code == 200
    assert AccessToken.objects.filter(revoked_at=None).count() == 2
    done = client.post("/account/password/", form, follow=True).content.decode()
    assert ("1 token revoked." in done) == revoke
    working = [AccessToken.objects.filter(pk=token.pk, revoked_at=None).exists() for token in tokens]
    assert working == [not revoke, True]


def test_old_password_cannot_be_guessed(db: None, settings: Settings) -> None:
    settings.SIGN_IN_ACCOUNT_FAILURES = 2
    client = Client()
    client.force_login(make_operator("olga", password=PASSWORD))
    form = {"new": "another long passphrase", "again": "another long passphrase"}
    statuses = [client.post("/account/password/", {"old": "wrong", **form}).status_code for _ in range(2)]
    assert statuses == [200, 429]
    assert client.post("/account/password/", {"old": PASSWORD, **form}).status_code == 429
    assert User.objects.get().check_password(PASSWORD)


def test_button_signs_out_everywhere(db: None) -> None:
    olga = make_operator("olga", password=PASSWORD)
    mine, other = Client(), Client()
    mine.force_login(olga)
    other.force_login(olga)
    assert "Sign out everywhere" in mine.get("/account/").content.decode()
    assert mine.post("/account/sign-out-everywhere/")["Location"] == "/login/"
    assert mine.get("/account/").status_code == other.get("/account/").status_code == 302


def test_command_adds_users_with_roles(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_PASSWORD", PASSWORD)
    call_command("add_user", "olga", role="operator", stdout=StringIO())
    call_command("add_user", "ada", role="administrator", stdout=StringIO())
    call_command("add_user", "nina", stdout=StringIO())
    roles = {user.username: [permission.role for permission in unlimited(user)] for user in User.objects.all()}
    assert roles == {"olga": [Role.OPERATOR], "ada": [Role.ADMINISTRATOR], "nina": []}
    assert User.objects.get(username="olga").check_password(PASSWORD)
    assert AuditEntry.objects.filter(action="user.added").count() == 3


@pytest.mark.parametrize(("name", "password"), [("olga", "short pass"), ("olga", ""), ("a b", PASSWORD)])
def test_command_refuses_what_pages_refuse(name: str, password: str, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_PASSWORD", password)
    with pytest.raises(CommandError):
        call_command("add_user", name, stdout=StringIO())
    assert not User.objects.exists()


def test_command_adds_no_name_twice(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_PASSWORD", PASSWORD)
    call_command("add_user", "olga", stdout=StringIO())
    with pytest.raises(CommandError, match="already exists"):
        call_command("add_user", "olga", stdout=StringIO())


def test_commands_of_django_leave_audit_entries(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours have their names: they keep the rules for passwords, and end sessions."""
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", username="ada", email="ada@example.com", interactive=False, stdout=StringIO())
    ada = User.objects.get(username="ada", is_staff=True, is_superuser=True, email="ada@example.com")
    client = Client()
    client.force_login(ada)
    monkeypatch.setenv("USER_PASSWORD", "another long passphrase")
    call_command("changepassword", "ada", stdout=StringIO())
    ada.refresh_from_db()
    assert ada.check_password("another long passphrase")
    assert client.get("/account/").status_code == 302
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"user.added", "password.changed"} <= actions


def test_commands_of_django_keep_the_rules_for_passwords(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    add_user(None, "olga", PASSWORD)
    for variable in ("DJANGO_SUPERUSER_PASSWORD", "USER_PASSWORD"):
        monkeypatch.setenv(variable, "short")
    for arguments in (["createsuperuser", "--noinput", "--username", "ada"], ["createsuperuser"]):
        with pytest.raises(CommandError):
            call_command(*arguments)
    for name in ("olga", "nobody"):
        with pytest.raises(CommandError):
            call_command("changepassword", name)
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD")
    with pytest.raises(CommandError, match="DJANGO_SUPERUSER_PASSWORD"):
        call_command("createsuperuser", "--noinput", "--username", "ada")
    assert User.objects.get().check_password(PASSWORD)


def test_admin_password_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARTWAY_VAR", str(tmp_path))
    monkeypatch.setenv("ADMIN_PASSWORD", "admin")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("os.umask", lambda _: 0)
    monkeypatch.setattr(launcher, "make_plan", lambda *_: pytest.fail("it starts"))
    assert launcher.main() == 1
    assert "ADMIN_PASSWORD cannot be used. This password is too short" in capsys.readouterr().err


def test_admin_password_counts_at_the_first_start_only() -> None:
    preflight.check_admin_password({"ADMIN_PASSWORD": "admin"}, is_first_start=False)
    preflight.check_admin_password({"ADMIN_PASSWORD": PASSWORD}, is_first_start=True)
    preflight.check_admin_password({}, is_first_start=True)


def test_site_does_not_create_an_administrator_with_a_bad_password(db: None, tmp_path: Path) -> None:
    var = Folder(tmp_path)
    var.make()
    with pytest.raises(ValidationError):
        site.create_admin(var, "admin")
    assert not User.objects.exists()
    assert not var.first_login.exists()
