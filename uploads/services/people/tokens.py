"""Creating and revoking access tokens, and finding the token of a request."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import audit
from uploads.domain.roles import Limits, Scope, TokenScope
from uploads.domain.secrets import MAX_LENGTH, digest_of, new_secret
from uploads.models import AccessToken, Store, TokenPlace
from uploads.problems import Code, Problem, ProblemError

log = logging.getLogger(__name__)

PREFIX = "partway_"
"""How every token starts, so that people and scanners of secrets recognize one."""
MAX_TOKENS = 100
"""Tokens of one user that are neither revoked nor expired."""
USE_INTERVAL = timedelta(minutes=1)
"""The last use is written at most this often, so that most requests write nothing."""


class TokenRefused(ProblemError):
    """The text of a request is no token that works now."""


class TokenNotCreated(ProblemError):
    """The values of a new token cannot be used. `field` is the one that is wrong; empty: none alone."""

    def __init__(self, problem: Problem, field: str = "") -> None:
        super().__init__(problem)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenValues:
    """What a user asks for. Without places, the token is not limited to stores."""

    name: str
    scopes: frozenset[TokenScope]
    days: int
    places: Sequence[tuple[Store, str, str]] = ()


@transaction.atomic
def create_token(owner: User, values: TokenValues) -> tuple[AccessToken, str]:
    """The token and its secret, which cannot be read again. Raises TokenNotCreated."""
    now = timezone.now()
    # One request of a user at a time: the number of tokens and the names are exact.
    User.objects.select_for_update().get(pk=owner.pk)
    mine = AccessToken.objects.filter(user=owner, revoked_at=None)
    if mine.filter(expires_at__gt=now).count() >= MAX_TOKENS:
        raise TokenNotCreated(Problem(Code.TOO_MANY_TOKENS, limit=MAX_TOKENS))
    if mine.filter(name=values.name).exists():
        raise TokenNotCreated(Problem(Code.TOKEN_NAME_TAKEN, name=values.name), "name")
    secret = new_secret(PREFIX)
    token = AccessToken.objects.create(
        user=owner,
        name=values.name,
        digest=digest_of(secret),
        scopes=sorted(values.scopes),
        expires_at=now + timedelta(days=values.days),
    )
    TokenPlace.objects.bulk_create(
        TokenPlace(token=token, store=store, bucket=bucket, prefix=prefix) for store, bucket, prefix in values.places
    )
    _record(owner, "created", token, after=_facts(token, values))
    return token, secret


@transaction.atomic
def revoke_token(actor: User | None, token: AccessToken) -> bool:
    """False if it was revoked before."""
    if not AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        return False
    token.refresh_from_db()
    _record(actor, "revoked", token)
    return True


def revoke_tokens(actor: User | None, username: str | None) -> int:
    """Revoke the tokens of a user; None: of all users. Returns how many. Raises ProblemError for an unknown user."""
    tokens = AccessToken.objects.filter(revoked_at=None).select_related("user")
    if username is not None:
        if not User.objects.filter(username=username).exists():
            raise ProblemError(Problem(Code.NO_SUCH_USER))
        tokens = tokens.filter(user__username=username)
    return sum(revoke_token(actor, token) for token in tokens)


def token_of(secret: str, address: str) -> AccessToken:
    """The token with this secret, with its user and places. `address` is where it is used from.

    Raises TokenRefused. Only the name and the id of a token are ever recorded.
    """
    rows = AccessToken.objects.select_related("user").prefetch_related("places")
    has_form = secret.startswith(PREFIX) and len(secret) <= MAX_LENGTH
    token = rows.filter(digest=digest_of(secret)).first() if has_form else None
    if token is None:
        log.warning("an unknown access token was sent from %s", address or "an unknown address")
        raise TokenRefused(Problem(Code.TOKEN_UNKNOWN))
    code = _refusal(token)
    if code is not None:
        _note_refusal(token, code)
        raise TokenRefused(Problem(code, name=token.name))
    _note_use(token, address)
    return token


def check_usable(token: AccessToken) -> AccessToken:
    """The token of a long request as it is stored now. Raises TokenRefused if it no longer works."""
    now = AccessToken.objects.select_related("user").prefetch_related("places").get(pk=token.pk)
    code = _refusal(now)
    if code is not None:
        raise TokenRefused(Problem(code, name=now.name))
    return now


def has_tokens(user: User) -> bool:
    """Whether the user has tokens that work."""
    return AccessToken.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now()).exists()


def limits_of(token: AccessToken) -> Limits:
    """What the token leaves of the roles of its user. An unknown scope, as of a later version, gives nothing."""
    scopes = [TokenScope(each) for each in token.scopes if each in set(TokenScope)]
    return Limits.of_token(scopes, [Scope(place.store_id, place.bucket, place.prefix) for place in token.places.all()])


def _refusal(token: AccessToken) -> Code | None:
    if token.revoked_at is not None:
        return Code.TOKEN_REVOKED
    if token.is_expired:
        return Code.TOKEN_EXPIRED
    return None if token.user.is_active else Code.TOKEN_USER_DISABLED


def _note_use(token: AccessToken, address: str) -> None:
    """A use that cannot be written, such as on a full disk, does not keep the token from being used."""
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < USE_INTERVAL:
        return
    try:
        with transaction.atomic():
            _unchanged(token, "last_used_at").update(last_used_at=now, last_used_from=address[:45])
    except DatabaseError as error:
        log.warning("the use of access token %s could not be written: %s", token.pk, error)


def _note_refusal(token: AccessToken, code: Code) -> None:
    """Record a refusal in the audit log, at most once a minute for each token."""
    now = timezone.now()
    if token.refused_at is not None and now - token.refused_at < USE_INTERVAL:
        return
    try:
        with transaction.atomic():
            if _unchanged(token, "refused_at").update(refused_at=now):
                _record(token.user, "refused", token, reason=Problem(code, name=token.name))
    except DatabaseError as error:
        log.warning("the refusal of access token %s could not be written: %s", token.pk, error)


def _unchanged(token: AccessToken, column: str) -> QuerySet[AccessToken]:
    """The row, if no other request has written the column in the meantime."""
    return AccessToken.objects.filter(pk=token.pk, **{column: getattr(token, column)})


def _facts(token: AccessToken, values: TokenValues) -> dict[str, object]:
    places = ["/".join(filter(None, [store.name, bucket, prefix])) for store, bucket, prefix in values.places]
    return {"scopes": token.scopes, "places": places, "expires_at": token.expires_at.isoformat()}


def _record(
    actor: User | None,
    what: str,
    token: AccessToken,
    *,
    after: Mapping[str, object] | None = None,
    reason: Problem | None = None,
) -> None:
    detail = {"token": token.pk, "name": token.name, "user": token.user.get_username()}
    audit.record(actor, f"token.{what}", after=after, detail=detail | ({"reason": reason} if reason else {}))
