"""Second factors: setting up an app, signing in with codes, recovery codes, and roles that need one."""

from __future__ import annotations

import re
import time
from base64 import b32decode
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django_otp.oath import totp
from pytest_django import Settings

from tests.grants import grant
from uploads.domain.roles import Role
from uploads.models import AuditEntry, RecoveryCode, Session, TotpDevice
from uploads.services.sign_in import second_factor

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
PAGE = "/account/second-factor/"


@pytest.fixture
def olga() -> User:
    user = User.objects.create_user("olga", password=PASSWORD)
    grant(user)
    return user


def app(secret: bytes, *, steps: int = 0) -> str:
    """The code that an app shows, or one of `steps` later."""
    return f"{totp(secret, t0=-30 * steps):06}"


def give_password(client: Client | None = None, **more: str) -> tuple[Client, Any]:
    client = client or Client()
    return client, client.post("/login/", {"username": "olga", "password": PASSWORD, **more})


def is_signed_in(client: Client) -> bool:
    return client.get("/transfers/").status_code == 200


def set_up(client: Client) -> tuple[bytes, list[str]]:
    """The secret, as the page shows it, and the recovery codes."""
    client.post(PAGE, {"action": "begin"})
    shown = re.search(r'<code class="mono">([A-Z2-7 ]+)</code>', client.get(PAGE).content.decode())
    assert shown
    secret = b32decode(shown[1].replace(" ", ""))
    page = client.post(PAGE, {"action": "confirm", "code": app(secret, steps=-1)})
    assert page.status_code == 200
    return secret, re.findall(r"[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}", page.content.decode())


@pytest.fixture
def secret_and_codes(olga: User) -> tuple[bytes, list[str]]:
    client, _ = give_password()
    return set_up(client)


def no_pause() -> None:
    TotpDevice.objects.update(throttling_failure_timestamp=None)


def test_page_shows_the_secret_once_as_picture_and_text(olga: User) -> None:
    client, _ = give_password()
    assert "Set up an app" in client.get(PAGE).content.decode()
    client.post(PAGE, {"action": "begin"})
    page = client.get(PAGE).content.decode()
    assert "<svg" in page
    assert " style=" not in page
    codes = set_up(client)[1]
    assert len(codes) == 10
    after = client.get(PAGE).content.decode()
    assert "<code" not in after
    assert "10 recovery codes are left" in after


def test_secret_is_encrypted_and_recovery_codes_are_hashed(
    olga: User, secret_and_codes: tuple[bytes, list[str]]
) -> None:
    secret, codes = secret_and_codes
    with connection.cursor() as cursor:
        stored = cursor.execute("SELECT key FROM uploads_totpdevice").fetchone()[0]
    assert secret.hex() not in stored
    assert TotpDevice.objects.get().secret == secret
    digests = "".join(RecoveryCode.objects.values_list("digest", flat=True))
    assert not any(code.replace("-", "") in digests for code in codes)


def test_signing_in_needs_a_code_and_leads_to_the_requested_page(secret_and_codes: tuple[bytes, list[str]]) -> None:
    client, response = give_password(next="/stores/")
    assert response["Location"] == "/login/code/"
    assert not is_signed_in(client)
    assert "Enter a code" in client.get("/login/code/").content.decode()
    response = client.post("/login/code/", {"code": app(secret_and_codes[0])})
    assert response["Location"] == "/stores/"
    assert is_signed_in(client)


def test_wrong_code_is_refused_and_the_next_has_to_wait(secret_and_codes: tuple[bytes, list[str]]) -> None:
    client, _ = give_password()
    wrong = client.post("/login/code/", {"code": app(secret_and_codes[0], steps=9)})
    assert "This code is wrong" in wrong.content.decode()
    early = client.post("/login/code/", {"code": app(secret_and_codes[0])})
    assert (early.status_code, early["Retry-After"]) == (429, "1")
    assert not is_signed_in(client)
    no_pause()
    client.post("/login/code/", {"code": app(secret_and_codes[0])})
    assert is_signed_in(client)
    assert AuditEntry.objects.filter(action="sign-in.failed", actor_name="olga").count() == 1


def test_code_is_accepted_once(secret_and_codes: tuple[bytes, list[str]]) -> None:
    code = app(secret_and_codes[0])
    first, second = give_password()[0], give_password()[0]
    first.post("/login/code/", {"code": code})
    second.post("/login/code/", {"code": code})
    assert (is_signed_in(first), is_signed_in(second)) == (True, False)
    no_pause()
    second.post("/login/code/", {"code": app(secret_and_codes[0], steps=-1)})
    assert not is_signed_in(second)


def test_wrong_codes_lock_the_account(secret_and_codes: tuple[bytes, list[str]], settings: Settings) -> None:
    settings.SIGN_IN_ACCOUNT_FAILURES = 3
    client, _ = give_password()
    for code in ("000000", "not a code"):
        client.post("/login/code/", {"code": code})
        no_pause()
    locked = client.post("/login/code/", {"code": "x"}, headers={"Accept": "application/json"})
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "AccountLocked")
    assert client.post("/login/code/", {"code": app(secret_and_codes[0])}).status_code == 429
    assert not is_signed_in(client)


def test_recovery_code_is_accepted_once(secret_and_codes: tuple[bytes, list[str]]) -> None:
    code = secret_and_codes[1][3]
    first, second = give_password()[0], give_password()[0]
    first.post("/login/code/", {"code": code.upper().replace("-", " ")})
    second.post("/login/code/", {"code": code})
    assert (is_signed_in(first), is_signed_in(second)) == (True, False)
    assert AuditEntry.objects.get(action="second-factor.recovery-code-used").detail == {"left": 9}


def test_second_step_needs_the_first_and_does_not_outlive_it(
    olga: User, secret_and_codes: tuple[bytes, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Client().get("/login/code/")["Location"] == "/login/"
    client, _ = give_password()
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + 601)
        assert client.get("/login/code/").status_code == 302
    assert client.get("/login/code/").status_code == 200
    User.objects.update(is_active=False)
    assert client.post("/login/code/", {"code": app(secret_and_codes[0])})["Location"] == "/login/"
    User.objects.update(is_active=True)
    olga.set_password("another long passphrase")
    olga.save()
    assert client.post("/login/code/", {"code": app(secret_and_codes[0])})["Location"] == "/login/"


def test_right_password_gives_the_session_another_key(secret_and_codes: tuple[bytes, list[str]]) -> None:
    """Otherwise somebody who has set the cookie of a browser enters codes in its session."""
    client, _ = give_password()
    known = client.cookies[site.SESSION_COOKIE_NAME].value
    give_password(client)
    stranger = Client()
    stranger.cookies[site.SESSION_COOKIE_NAME] = known
    assert stranger.get("/login/code/")["Location"] == "/login/"
    assert client.get("/login/code/").status_code == 200


def test_setting_up_ends_other_sessions(olga: User) -> None:
    other, mine = give_password()[0], give_password()[0]
    set_up(mine)
    assert (is_signed_in(other), is_signed_in(mine)) == (False, True)


def test_wrong_code_does_not_set_up_anything(olga: User) -> None:
    client, _ = give_password()
    client.post(PAGE, {"action": "begin"})
    page = client.post(PAGE, {"action": "confirm", "code": "000000"})
    assert page.status_code == 400
    assert "This code is wrong" in page.content.decode()
    assert give_password()[1]["Location"] == "/"


def test_recovery_codes_are_renewed_and_the_app_removed_with_a_code(
    olga: User, secret_and_codes: tuple[bytes, list[str]]
) -> None:
    secret, codes = secret_and_codes
    client, _ = give_password()
    client.post("/login/code/", {"code": codes[0]})
    page = client.post(PAGE, {"action": "renew", "code": codes[1]}).content.decode()
    renewed = re.findall(r"[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}", page)
    assert len(renewed) == 10
    assert client.post(PAGE, {"action": "remove", "code": codes[2]}).status_code == 400
    no_pause()
    assert client.post(PAGE, {"action": "remove", "code": app(secret)}).status_code == 303
    assert not second_factor.is_set_up(olga)
    assert RecoveryCode.objects.count() == 0


def test_administrator_resets_it(olga: User, secret_and_codes: tuple[bytes, list[str]]) -> None:
    client, _ = give_password()
    client.post("/login/code/", {"code": app(secret_and_codes[0])})
    call_command("reset_second_factor", "olga", stdout=StringIO())
    assert not is_signed_in(client)
    assert give_password()[1]["Location"] == "/"
    assert AuditEntry.objects.filter(action="second-factor.reset", detail={"user": "olga"}).exists()
    for name in ("olga", "nobody"):
        with pytest.raises(CommandError):
            call_command("reset_second_factor", name, stdout=StringIO())


# --- Roles that need one ----------------------------------------------------------------------------------------------


def test_role_that_needs_one_sees_only_the_page_to_set_it_up(olga: User, settings: Settings) -> None:
    settings.TOTP_REQUIRED_ROLES = [Role.OPERATOR]
    client, _ = give_password()
    assert client.get("/stores/")["Location"] == PAGE
    refused = client.get("/stores/", headers={"Accept": "application/json"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "SecondFactorRequired")
    tus = client.post("/files/", headers={"Tus-Resumable": "1.0.0"})
    assert (tus.status_code, tus.json()["error"]["code"]) == (403, "SecondFactorRequired")
    assert client.get("/stores/", headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "Your role needs a second factor" in client.get(PAGE).content.decode()
    secret, _ = set_up(client)
    assert is_signed_in(client)
    assert client.post(PAGE, {"action": "remove", "code": app(secret)}).status_code == 400
    assert second_factor.is_set_up(olga)


def test_role_that_needs_none_is_not_led_there(olga: User, settings: Settings) -> None:
    settings.TOTP_REQUIRED_ROLES = [Role.ADMINISTRATOR]
    client, _ = give_password()
    assert is_signed_in(client)
    olga.is_staff = True
    olga.save()
    assert client.get("/stores/")["Location"] == PAGE
    assert client.post("/logout/").status_code == 302


@pytest.mark.parametrize("role", Role)
def test_higher_roles_need_what_a_role_needs(role: Role, settings: Settings) -> None:
    settings.TOTP_REQUIRED_ROLES = [Role.OPERATOR.value]
    user = User.objects.create_user("rosa")
    grant(user, role)
    assert second_factor.is_required(user) == (role != Role.VIEWER)


def test_other_backends_are_exempt(olga: User, settings: Settings) -> None:
    """A provider of single sign-on checks its own second factors."""
    settings.TOTP_REQUIRED_ROLES = [Role.OPERATOR]
    provider = "tests.dashboard.sign_in.provider.Provider"
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, provider]
    settings.BACKENDS_WITH_OWN_FACTORS = [provider]
    client = Client()
    client.force_login(olga, backend=provider)
    assert is_signed_in(client)


def test_session_that_has_shown_none_ends_where_another_has_set_it_up(olga: User, settings: Settings) -> None:
    client, _ = give_password()
    second_factor.begin(olga)
    TotpDevice.objects.update(confirmed=True)
    settings.TOTP_REQUIRED_ROLES = [Role.OPERATOR]
    assert client.get("/stores/")["Location"] == "/login/"
    assert not Session.objects.filter(user=olga).exists()


def test_session_without_a_user_expires_soon(secret_and_codes: tuple[bytes, list[str]]) -> None:
    give_password()
    pending = Session.objects.get(user=None)
    newest = Session.objects.exclude(user=None).latest("expire_date")
    assert newest.expire_date - pending.expire_date > timedelta(hours=11)
