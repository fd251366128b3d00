"""`manage.py invite_user` and `revoke_tokens`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from tests.dashboard.people.test_invitations import accept, secret_in
from uploads import access
from uploads.domain.roles import Action, TokenScope
from uploads.models import AccessToken, AuditEntry
from uploads.services.people.tokens import TokenValues, create_token


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


@pytest.mark.django_db
def test_invited_administrator_administers() -> None:
    link = run("invite_user", "ines", "--administrator", "--url", "https://partway.example.com/")
    assert link.startswith("https://partway.example.com/invitation/?token=")
    assert accept(link).status_code == 303
    assert access.may(User.objects.get(), Action.MANAGE_USERS)
    assert secret_in(link) not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize("arguments", [("olga",), ("a b",), ("new", "--email", "no address")])
def test_users_that_cannot_be_added(olga: User, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run("invite_user", *arguments)
    assert User.objects.get() == olga


def test_tokens_are_revoked(olga: User, stella: User) -> None:
    for user in (olga, stella):
        for name in ("a", "b"):
            create_token(user, TokenValues(name=name, scopes=frozenset({TokenScope.READ}), days=1))
    assert run("revoke_tokens", "--user", "olga") == "2 tokens revoked."
    assert AccessToken.objects.filter(revoked_at=None, user=stella).count() == 2
    with pytest.raises(CommandError):
        run("revoke_tokens", "--user", "nobody")
    assert run("revoke_tokens", "--all") == "2 tokens revoked."
    assert run("revoke_tokens", "--all") == "There is no token to revoke."
    assert Client().get("/stores/", headers={"Authorization": "Bearer partway_x"}).status_code == 401
