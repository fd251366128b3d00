"""Locks after failed sign-ins: of accounts and of addresses, what is recorded of them, and how they end."""

from __future__ import annotations

import logging
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from uploads.models import AuditEntry
from uploads.services.sign_in.lockout import lift, lock_of_account
from uploads.services.upkeep.retention import delete_old_rows

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
MINE = "my own Passphrase 1"
"""A password that somebody types into the field of the name."""


@pytest.fixture(autouse=True)
def users(settings: Settings) -> None:
    settings.SIGN_IN_ACCOUNT_FAILURES, settings.SIGN_IN_ADDRESS_FAILURES = 3, 5
    for name in ("olga", "petra"):
        User.objects.create_user(name, password=PASSWORD)


def attempt(name: str, password: str, address: str = "192.0.2.1", **headers: str) -> Any:
    form = {"username": name, "password": password}
    return Client().post("/login/", form, REMOTE_ADDR=address, headers=headers)


def fail(name: str, count: int, address: str = "192.0.2.1") -> list[int]:
    return [attempt(name, "wrong", address, **{"User-Agent": str(number)}).status_code for number in range(count)]


def is_signed_in(response: Any) -> bool:
    return bool(response.status_code == 302)


def let_time_pass(**by: float) -> None:
    for row in AccessAttempt.objects.all():
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=row.attempt_time - timedelta(**by))


def test_account_is_locked_for_every_address_and_others_are_not() -> None:
    assert fail("olga", 3) == [200, 200, 429]
    locked = attempt("olga", PASSWORD, "192.0.2.2")
    assert locked.status_code == 429
    assert 890 <= int(locked["Retry-After"]) <= 900
    assert "with this name have failed. Try again after" in locked.content.decode()
    assert is_signed_in(attempt("petra", PASSWORD, "192.0.2.1"))


def test_address_is_locked_for_every_account_and_others_are_not() -> None:
    assert fail("petra", 2) == [200, 200]
    assert [attempt(f"no-account-{number}", "wrong").status_code for number in range(3)] == [200, 200, 429]
    locked = attempt("olga", PASSWORD, Accept="application/json")
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "AddressLocked")
    assert int(locked["Retry-After"]) > 0
    assert is_signed_in(attempt("olga", PASSWORD, "192.0.2.2"))
    assert is_signed_in(attempt("petra", PASSWORD, "192.0.2.2"))


def test_ipv6_network_counts_as_one_address(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        attempt(f"nobody-{number}", "wrong", f"2001:db8:0:1::{number}")
    assert attempt("olga", PASSWORD, "2001:db8:0:1:ffff::1").status_code == 429
    assert is_signed_in(attempt("olga", PASSWORD, "2001:db8:0:2::1"))
    assert "sign-in failed: ? from 2001:db8:0:1::4" in caplog.text
    assert AuditEntry.objects.filter(action="sign-in.failed", address="2001:db8:0:1::4").exists()
    call_command("unlock_sign_in", address="2001:db8:0:1:ffff::1", stdout=StringIO())
    assert is_signed_in(attempt("olga", PASSWORD, "2001:db8:0:1:ffff::1"))
    for none in ("2001:db8:0:1::1", "no address"):
        with pytest.raises(CommandError, match="no failed attempts"):
            call_command("unlock_sign_in", address=none, stdout=StringIO())


def test_names_that_are_no_accounts_are_locked_alike() -> None:
    """Otherwise locks would show which accounts exist."""
    assert fail("nobody", 3) == [200, 200, 429]


def test_success_forgets_the_failures_of_the_account_only() -> None:
    fail("olga", 2)
    assert is_signed_in(attempt("olga", PASSWORD))
    assert fail("olga", 2) == [200, 200]
    assert is_signed_in(attempt("olga", PASSWORD))
    fail("petra", 2)
    fail("nobody", 2)
    assert is_signed_in(attempt("olga", PASSWORD))
    assert attempt("someone", "wrong").status_code == 429


def test_lock_ends_after_a_while_and_attempts_during_it_do_not_extend_it() -> None:
    fail("olga", 3)
    let_time_pass(minutes=14)
    assert attempt("olga", PASSWORD).status_code == 429
    let_time_pass(minutes=2)
    assert is_signed_in(attempt("olga", PASSWORD))


def test_old_failures_are_deleted_by_the_next_one_and_in_the_round() -> None:
    fail("olga", 2)
    let_time_pass(minutes=16)
    fail("petra", 1)
    assert AccessAttempt.objects.get().username == "petra"
    let_time_pass(minutes=16)
    assert delete_old_rows()["failed sign-ins"] == 1


def test_failures_are_recorded_without_passwords(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        fail("olga", 4)
        attempt(MINE, MINE, "192.0.2.9", Referer=f"http://testserver/login/?next={MINE}")
    assert list(AuditEntry.objects.order_by("id").values_list("action", "actor_name", "address", "detail")) == [
        ("sign-in.failed", "olga", "192.0.2.1", {}),
        ("sign-in.failed", "olga", "192.0.2.1", {}),
        ("sign-in.failed", "olga", "192.0.2.1", {}),
        ("sign-in.locked", "olga", "192.0.2.1", {}),
        ("sign-in.failed", "?", "192.0.2.9", {}),
    ]
    assert "sign-in failed: olga from 192.0.2.1" in caplog.text
    stored = str(list(AccessAttempt.objects.values()))
    for secret in (MINE, "wrong"):
        assert secret not in caplog.text
        assert secret not in stored


def test_attempts_against_a_lock_are_logged_and_do_not_grow_the_audit_log(caplog: pytest.LogCaptureFixture) -> None:
    fail("olga", 3)
    count = AuditEntry.objects.count()
    fail("olga", 5)
    assert AuditEntry.objects.count() == count
    assert AccessAttempt.objects.count() == 1


def test_signing_in_and_out_is_recorded() -> None:
    client = Client()
    client.post("/login/", {"username": "olga", "password": PASSWORD})
    client.post("/logout/")
    assert list(AuditEntry.objects.order_by("id").values_list("action", "actor_name")) == [
        ("sign-in.done", "olga"),
        ("sign-in.ended", "olga"),
    ]


def test_administrator_lifts_a_lock() -> None:
    ada, olga = User.objects.create_superuser("ada"), User.objects.get(username="olga")
    fail("olga", 3)
    assert lock_of_account(olga)
    assert lift(ada, name="olga")
    assert not lock_of_account(olga)
    assert is_signed_in(attempt("olga", PASSWORD))
    assert AuditEntry.objects.filter(actor=ada, action="sign-in.unlocked", detail={"user": "olga"}).exists()


def test_command_lifts_the_lock_of_an_address() -> None:
    for number in range(5):
        attempt(f"nobody-{number}", "wrong")
    call_command("unlock_sign_in", address="192.0.2.1", stdout=StringIO())
    assert is_signed_in(attempt("olga", PASSWORD))
    with pytest.raises(CommandError, match="no failed attempts"):
        call_command("unlock_sign_in", user="olga", stdout=StringIO())
