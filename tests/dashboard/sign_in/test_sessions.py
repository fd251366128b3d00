"""Sessions: the idle limit, the absolute limit, and signing out everywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.grants import make_operator
from uploads.models import AuditEntry, Session
from uploads.services.sign_in.passwords import change_password
from uploads.services.sign_in.session_store import SessionStore
from uploads.services.sign_in.sessions import sign_out_everywhere
from uploads.services.upkeep.retention import delete_old_rows

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def olga() -> User:
    return make_operator("olga", password=PASSWORD)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/transfers/").status_code == 200


def let_time_pass(**by: float) -> None:
    """Move the times of all sessions into the past, in the rows and in their data."""
    delta = timedelta(**by)
    for row in Session.objects.all():
        assert row.signed_in_at
        data = SessionStore().decode(row.session_data)
        data["signed_in_at"] -= delta.total_seconds()
        row.session_data = SessionStore().encode(data)
        row.expire_date -= delta
        row.signed_in_at -= delta
        row.save()


def test_session_names_its_user_and_ends_after_the_idle_limit(olga: User) -> None:
    client = signed_in(olga)
    row = Session.objects.get()
    assert row.user == olga
    assert row.signed_in_at
    assert row.expire_date - row.signed_in_at == pytest.approx(timedelta(hours=12), abs=timedelta(seconds=5))
    let_time_pass(hours=11)
    assert is_signed_in(client)
    let_time_pass(hours=11)
    assert is_signed_in(client)
    let_time_pass(hours=13)
    assert not is_signed_in(client)


def test_activity_does_not_extend_a_session_beyond_the_absolute_limit(olga: User) -> None:
    client = signed_in(olga)
    for _ in range(20):
        let_time_pass(hours=8)
        assert is_signed_in(client)
    let_time_pass(hours=8)
    assert not is_signed_in(client)


def test_polls_do_not_keep_a_session(olga: User) -> None:
    client = signed_in(olga)
    let_time_pass(hours=11)
    before = Session.objects.get().expire_date
    poll = client.get("/transfers/", headers={"Partway-Background": "1"})
    assert poll.status_code == 200
    assert Session.objects.get().expire_date == before
    let_time_pass(hours=2)
    assert not is_signed_in(client)


def test_requests_in_a_row_write_the_session_once(olga: User) -> None:
    client = signed_in(olga)
    let_time_pass(hours=1)
    assert is_signed_in(client)
    kept = Session.objects.get().expire_date
    assert is_signed_in(client)
    assert Session.objects.get().expire_date == kept


def test_renewing_does_not_bring_an_ended_session_back(olga: User) -> None:
    client = signed_in(olga)
    let_time_pass(hours=1)
    sign_out_everywhere(olga, None)
    assert not is_signed_in(client)
    assert not Session.objects.filter(user=olga).exists()


def test_signing_out_everywhere_ends_the_sessions_of_one_user(olga: User) -> None:
    ends, stays = signed_in(olga), signed_in(olga)
    other = signed_in(make_operator("petra"))
    assert sign_out_everywhere(olga, olga, except_key=stays.session.session_key) == 1
    assert [is_signed_in(client) for client in (ends, stays, other)] == [False, True, True]
    entry = AuditEntry.objects.get(action="session.ended-everywhere")
    assert entry.detail == {"user": "olga", "sessions": 1}


def test_changed_password_ends_other_sessions(olga: User) -> None:
    client = signed_in(olga)
    change_password(olga, "another long passphrase", olga)
    assert not is_signed_in(client)
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"password.changed", "session.ended-everywhere"}


def test_disabled_user_is_signed_out(olga: User) -> None:
    client = signed_in(olga)
    User.objects.update(is_active=False)
    assert not is_signed_in(client)


def test_expired_sessions_are_deleted_in_the_round(olga: User) -> None:
    signed_in(olga)
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(seconds=1))
    assert delete_old_rows()["sessions"] == 1
    assert Session.objects.get().user == olga


def test_signing_in_again_counts_the_absolute_limit_anew(olga: User) -> None:
    client = signed_in(olga)
    let_time_pass(hours=10)
    client.post("/logout/")
    client.force_login(olga)
    let_time_pass(hours=11)
    assert is_signed_in(client)
