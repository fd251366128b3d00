"""Which permissions a user has: the grants of the user and of the user's groups, narrowed by the limits of a token.

They are read with one query, and kept on the user object: a request has one.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Left
from django.db.models.lookups import Exact

from uploads.database.prepared import Given, Rows
from uploads.domain.roles import ALLOWED, EVERYWHERE, ROLES, Action, Limits, Permission, Place, Role, Scope
from uploads.models import Grant

Permissions = tuple[Permission, ...]

_KEPT = "_partway_permissions"
_LIMITS = "_partway_limits"

NOTHING = Q(pk__in=())


def grants_of(user: User) -> Permissions:
    """The permissions of a user, within the limits of the token of this request."""
    kept: Permissions | None = getattr(user, _KEPT, None)
    if kept is None:
        limits = limits_of(user)
        kept = unlimited(user)
        if limits is not None:
            kept = tuple(narrowed for each in kept for narrowed in each.limited(limits))
        setattr(user, _KEPT, kept)
    return kept


def unlimited(user: User) -> Permissions:
    """The permissions of a user without the limits of a token: one query, none for an administrator by `is_staff`."""
    if user.is_staff:
        return (_permission(Role.ADMINISTRATOR, EVERYWHERE, all_transfers=True),)
    found = [
        _permission(Role(role), Scope(store_id, bucket, prefix), all_transfers=all_transfers)
        for role, store_id, bucket, prefix, all_transfers in _GRANTS(user=user.pk)
    ]
    return tuple(dict.fromkeys(found))


def grant_rows(user: User) -> QuerySet[Grant]:
    """The grants of a user and of the user's groups."""
    return _rows_of(user.pk)


def _rows_of(user_id: int | Given) -> QuerySet[Grant]:
    groups = User.groups.through.objects.filter(user=user_id).values("group")
    return Grant.objects.filter(Q(user=user_id) | Q(group__in=groups))


_COLUMNS = ("role", "store_id", "bucket", "prefix", "all_transfers")

_GRANTS = Rows(lambda: _rows_of(Given(User, "id", "user")).order_by("id").values_list(*_COLUMNS))
"""Every request needs them, so their statement is built once."""


def _permission(role: Role, scope: Scope, *, all_transfers: bool) -> Permission:
    return Permission(role, scope, ALLOWED[role], all_transfers or Action.SEE_ALL_TRANSFERS in ALLOWED[role])


def limit(user: User, limits: Limits) -> None:
    """Narrow the permissions of this user object, which has to be that of one request."""
    setattr(user, _LIMITS, limits)
    forget(user)


def limits_of(user: User) -> Limits | None:
    limits: Limits | None = getattr(user, _LIMITS, None)
    return limits


def is_valid_everywhere(user: User) -> bool:
    """Whether the request has no token, or one that is not limited to some places."""
    limits = limits_of(user)
    return limits is None or EVERYWHERE in limits.scopes


def forget(user: User) -> None:
    """Read the grants again when they are needed next."""
    if getattr(user, _KEPT, None) is not None:
        setattr(user, _KEPT, None)


def highest_role(permissions: Iterable[Permission], place: Place | None = None) -> Role | None:
    roles = [each.role for each in permissions if place is None or each.scope.touches(place)]
    return max(roles, key=ROLES.index, default=None)


# --- As conditions of queries -----------------------------------------------------------------------------------------


def at_scopes(scopes: Iterable[Scope], store: str = "store", bucket: str = "bucket", key: str = "key") -> Q:
    """Rows whose place is in one of the scopes. The names are those of the columns; without a key: whole buckets."""
    condition = NOTHING
    for scope in scopes:
        if scope.is_everywhere:
            return Q()
        condition |= at_scope(scope, store, bucket, key)
    return condition


def at_scope(scope: Scope, store: str = "store", bucket: str = "bucket", key: str = "key") -> Q:
    condition = Q()
    if scope.store_id is not None:
        condition &= Q(**{store: scope.store_id})
    if scope.bucket:
        condition &= Q(**{bucket: scope.bucket})
    if scope.prefix:
        condition &= starts_with(key, scope.prefix) if key else NOTHING
    return condition


def starts_with(column: str, prefix: str) -> Q:
    """Compared exactly. `__startswith` ignores the case of letters on SQLite."""
    return Q(Exact(Left(F(column), len(prefix)), Value(prefix)))
