"""Access tokens: what is stored of them, how long they work, and what their use writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from uploads.domain.roles import TokenScope
from uploads.models import AccessToken, AuditEntry
from uploads.problems import Code
from uploads.services.people import tokens
from uploads.services.people.tokens import TokenNotCreated, TokenRefused, TokenValues, create_token, token_of

READ = frozenset({TokenScope.READ})


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create(username="olga")


def values(**changes: Any) -> TokenValues:
    given: dict[str, Any] = {"name": "backup", "scopes": READ, "days": 30} | changes
    return TokenValues(**given)


def test_only_a_digest_is_stored(user: User) -> None:
    token, secret = create_token(user, values())
    assert secret.startswith("partway_")
    assert len(secret) == len("partway_") + 43
    row = AccessToken.objects.filter(pk=token.pk).values().get()
    assert secret not in str(row)
    assert len(row["digest"]) == 64
    assert secret not in str(list(AuditEntry.objects.values()))


def test_two_tokens_differ(user: User) -> None:
    assert create_token(user, values())[1] != create_token(user, values(name="other"))[1]


def test_name_is_in_use_until_the_token_is_revoked(user: User) -> None:
    token, _ = create_token(user, values())
    with pytest.raises(TokenNotCreated) as refusal:
        create_token(user, values())
    assert (refusal.value.field, refusal.value.problem.code) == ("name", Code.TOKEN_NAME_TAKEN)
    assert tokens.revoke_token(user, token)
    assert not tokens.revoke_token(user, token)
    create_token(user, values())


def test_number_of_tokens_is_limited(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 1)
    create_token(user, values())
    with pytest.raises(TokenNotCreated) as refusal:
        create_token(user, values(name="second"))
    assert refusal.value.problem.code == Code.TOO_MANY_TOKENS


def code_of(secret: str) -> str:
    with pytest.raises(TokenRefused) as refusal:
        token_of(secret, "192.0.2.1")
    return str(refusal.value.problem.code)


@pytest.mark.parametrize("secret", ["", "partway_", "partway_wrong", "x" * 10_000, "partway_\udcff", "part\0way_"])
@pytest.mark.django_db
def test_other_texts_are_unknown(secret: str) -> None:
    assert code_of(secret) == Code.TOKEN_UNKNOWN


def test_secret_of_another_length_is_unknown(user: User) -> None:
    _, secret = create_token(user, values())
    assert code_of(secret[:-1]) == code_of(f"{secret} ") == code_of(secret.upper()) == Code.TOKEN_UNKNOWN


def test_token_ends(user: User) -> None:
    """Because it is revoked, has expired, or its user is disabled: at once, and each says so."""
    token, secret = create_token(user, values())
    assert token_of(secret, "192.0.2.1") == token
    user.is_active = False
    user.save()
    assert code_of(secret) == Code.TOKEN_USER_DISABLED
    AccessToken.objects.update(expires_at=timezone.now())
    assert code_of(secret) == Code.TOKEN_EXPIRED
    tokens.revoke_token(None, token)
    assert code_of(secret) == Code.TOKEN_REVOKED


def test_refusals_of_a_token_are_audited_once_a_minute(user: User) -> None:
    token, secret = create_token(user, values())
    tokens.revoke_token(user, token)
    for _ in range(3):
        code_of(secret)
    (entry,) = AuditEntry.objects.filter(action="token.refused")
    assert entry.detail["token"] == token.pk
    assert entry.detail["reason"]["code"] == Code.TOKEN_REVOKED
    AccessToken.objects.update(refused_at=timezone.now() - timedelta(minutes=2))
    code_of(secret)
    assert AuditEntry.objects.filter(action="token.refused").count() == 2


def test_use_is_written_at_most_once_a_minute(user: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _, secret = create_token(user, values())
    token_of(secret, "192.0.2.1")
    first = AccessToken.objects.get()
    assert (first.last_used_at is not None, first.last_used_from) == (True, "192.0.2.1")
    with django_assert_num_queries(2):  # The token with its user, and its places.
        token_of(secret, "192.0.2.2")
    assert AccessToken.objects.get().last_used_at == first.last_used_at
    AccessToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    token_of(secret, "192.0.2.2")
    assert AccessToken.objects.get().last_used_from == "192.0.2.2"
