"""A body that is arriving: its token and its user are checked again now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest

from dashboard.transfers import still_allowed
from dashboard.transfers.still_allowed import NoLongerAllowed, while_allowed
from tests.dashboard.make_transfer import make_transfer
from tests.grants import grant
from uploads import access
from uploads.domain.roles import Role, TokenScope
from uploads.models import AccessToken, Grant, Store, Transfer
from uploads.problems import Code
from uploads.services.people.tokens import TokenValues, create_token, limits_of, revoke_token


@pytest.fixture
def user(olga: User) -> User:
    grant(olga, Role.OPERATOR)
    return olga


@pytest.fixture
def transfer(user: User, store: Store) -> Transfer:
    return make_transfer(user, store, resumable=True)


@pytest.fixture
def token(user: User) -> AccessToken:
    return create_token(user, TokenValues(name="t", scopes=frozenset({TokenScope.TRANSFER}), days=1))[0]


def request_of(user: User, token: AccessToken | None) -> HttpRequest:
    request: Any = HttpRequest()
    request.user = user if token is None else access.limited(user, limits_of(token))
    if token is not None:
        request.access_token = token
    return request  # type: ignore[no-any-return]


def blocks(meanwhile: Callable[[], Any]) -> Iterator[int]:
    yield 1
    yield 2
    meanwhile()
    yield 3


def code_after(request: HttpRequest, transfer: Transfer, meanwhile: Callable[[], Any]) -> str:
    arrived = []
    with pytest.raises(NoLongerAllowed) as refusal:
        for block in while_allowed(request, transfer, blocks(meanwhile)):
            arrived.append(block)
    assert arrived == [1, 2]
    return str(refusal.value.problem.code)


@pytest.fixture
def at_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still_allowed, "INTERVAL_SECONDS", 0)


@pytest.mark.usefixtures("at_each_block")
def test_body_with_a_token_ends_with_the_token(user: User, transfer: Transfer, token: AccessToken) -> None:
    request = request_of(user, token)
    assert code_after(request, transfer, lambda: revoke_token(None, token)) == Code.TOKEN_REVOKED


@pytest.mark.usefixtures("at_each_block")
@pytest.mark.parametrize("has_token", [True, False])
def test_body_ends_when_its_user_is_disabled(
    user: User, transfer: Transfer, token: AccessToken, has_token: bool
) -> None:
    request = request_of(user, token if has_token else None)
    expected = Code.TOKEN_USER_DISABLED if has_token else Code.NOT_SIGNED_IN
    assert code_after(request, transfer, lambda: User.objects.update(is_active=False)) == expected


@pytest.mark.usefixtures("at_each_block")
@pytest.mark.parametrize("has_token", [True, False])
def test_body_ends_when_the_role_is_lost(user: User, transfer: Transfer, token: AccessToken, has_token: bool) -> None:
    request = request_of(user, token if has_token else None)
    code = code_after(request, transfer, lambda: Grant.objects.all().delete())
    assert code in (Code.NO_ROLE, Code.ACCESS_DENIED)


def test_nothing_is_read_for_a_short_body(user: User, transfer: Transfer, token: AccessToken) -> None:
    request = request_of(user, token)
    assert list(while_allowed(request, transfer, blocks(lambda: revoke_token(None, token)))) == [1, 2, 3]
