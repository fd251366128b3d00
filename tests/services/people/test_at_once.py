"""Changes at the same moment: somebody can always administer the site, and what works once works once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.grants import grant
from uploads.domain.roles import Role, TokenScope
from uploads.models import Grant
from uploads.problems import ProblemError
from uploads.services.people.administrators import administrators
from uploads.services.people.grants import GrantValues, add_grant, remove_grant
from uploads.services.people.invitations import accept_invitation, new_invitation
from uploads.services.people.tokens import TokenValues, create_token
from uploads.services.people.users import set_enabled

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 4


def outcomes(*calls: Callable[[], Any]) -> list[str]:
    """Call all at the same moment: `done`, or the code of the refusal, sorted."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> str:
        try:
            barrier.wait()
            call()
        except ProblemError as refusal:
            return str(refusal.problem.code)
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(run, calls))


def new_user(name: str, **values: Any) -> User:
    return User.objects.create(username=name, password="x", **values)


def test_administrators_who_disable_each_other() -> None:
    users = [new_user(f"a{number}", is_staff=True) for number in range(THREADS)]
    calls = [partial(set_enabled, None, user, enabled=False) for user in users]
    assert outcomes(*calls) == ["LastAdministrator", *["done"] * (THREADS - 1)]
    assert administrators().count() == 1


def test_administrators_who_take_the_role_from_each_other() -> None:
    grants = [grant(new_user(f"a{number}"), Role.ADMINISTRATOR) for number in range(THREADS)]
    calls = [partial(remove_grant, None, each) for each in grants]
    assert outcomes(*calls) == ["LastAdministrator", *["done"] * (THREADS - 1)]
    assert administrators().count() == 1


def test_link_works_once() -> None:
    _, secret = new_invitation(None, new_user("ines"))
    calls = [partial(accept_invitation, secret, f"a long passphrase {number}") for number in range(THREADS)]
    assert outcomes(*calls) == [*["InvitationUsed"] * (THREADS - 1), "done"]


def test_one_link_is_open() -> None:
    user = new_user("ines")
    assert outcomes(*[partial(new_invitation, None, user)] * THREADS) == ["done"] * THREADS
    assert user.invitations.filter(used_at=None, revoked_at=None).count() == 1


def test_one_token_and_one_grant_of_each_kind() -> None:
    user = new_user("olga")
    values = TokenValues(name="t", scopes=frozenset({TokenScope.READ}), days=1)
    token = partial(create_token, user, values)
    assert outcomes(*[token] * THREADS) == [*["TokenNameTaken"] * (THREADS - 1), "done"]
    given = partial(add_grant, None, user, GrantValues(role=Role.VIEWER))
    assert outcomes(*[given] * THREADS) == [*["GrantExists"] * (THREADS - 1), "done"]
    assert Grant.objects.get().user == user
