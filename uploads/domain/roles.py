"""Roles: what each of them includes, and where a grant of a role is valid. Pure.

`ROLE_FOR` is the whole policy: the least role that includes each action. A role includes what the roles before it do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """From the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    STORE_ADMINISTRATOR = "store-administrator"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """What the policy can allow. `SEE_DISABLED_STORES` widens what another action shows."""

    SEE_STORES = "see-stores"
    LIST_UPLOADS = "list-uploads"
    SEE_OPERATIONS = "see-operations"
    SEE_TRANSFERS = "see-transfers"
    SEE_AUDIT = "see-audit"

    ABORT_UPLOADS = "abort-uploads"
    COMPLETE_UPLOADS = "complete-uploads"
    PLAN_SWEEPS = "plan-sweeps"
    APPROVE_SWEEPS = "approve-sweeps"
    SEND_FILES = "send-files"
    STEER_TRANSFERS = "steer-transfers"
    SCAN_STORES = "scan-stores"

    SEE_DISABLED_STORES = "see-disabled-stores"
    CHANGE_STORES = "change-stores"
    CHECK_STORES = "check-stores"
    CHANGE_LIFECYCLE = "change-lifecycle"
    CHANGE_INVENTORY = "change-inventory"
    SEE_ALL_TRANSFERS = "see-all-transfers"
    GRANT_ROLES = "grant-roles"

    ADD_STORES = "add-stores"
    SEE_STAGING = "see-staging"
    MANAGE_USERS = "manage-users"
    MANAGE_ALERTS = "manage-alerts"


ROLE_FOR: Mapping[Action, Role] = {
    **dict.fromkeys(
        (Action.SEE_STORES, Action.LIST_UPLOADS, Action.SEE_OPERATIONS, Action.SEE_TRANSFERS, Action.SEE_AUDIT),
        Role.VIEWER,
    ),
    **dict.fromkeys(
        (
            Action.ABORT_UPLOADS,
            Action.COMPLETE_UPLOADS,
            Action.PLAN_SWEEPS,
            Action.APPROVE_SWEEPS,
            Action.SEND_FILES,
            Action.STEER_TRANSFERS,
            Action.SCAN_STORES,
        ),
        Role.OPERATOR,
    ),
    **dict.fromkeys(
        (
            Action.SEE_DISABLED_STORES,
            Action.CHANGE_STORES,
            Action.CHECK_STORES,
            Action.CHANGE_LIFECYCLE,
            Action.CHANGE_INVENTORY,
            Action.SEE_ALL_TRANSFERS,
            Action.GRANT_ROLES,
        ),
        Role.STORE_ADMINISTRATOR,
    ),
    **dict.fromkeys(
        (Action.ADD_STORES, Action.SEE_STAGING, Action.MANAGE_USERS, Action.MANAGE_ALERTS), Role.ADMINISTRATOR
    ),
}

ROLES: tuple[Role, ...] = tuple(Role)

ALLOWED: Mapping[Role, frozenset[Action]] = {
    role: frozenset(action for action, least in ROLE_FOR.items() if ROLES.index(least) <= ROLES.index(role))
    for role in ROLES
}

WHOLE_STORE = frozenset(
    {
        Action.SEE_DISABLED_STORES,
        Action.CHANGE_STORES,
        Action.CHECK_STORES,
        Action.CHANGE_INVENTORY,
        Action.GRANT_ROLES,
    }
)
"""Actions on a store as a whole: a grant that is limited to a bucket or a prefix does not include them."""

EVERYWHERE_ONLY = frozenset({Action.ADD_STORES, Action.SEE_STAGING, Action.MANAGE_USERS, Action.MANAGE_ALERTS})
"""Actions that concern no store: a grant that is limited to a store does not include them."""


class TokenScope(StrEnum):
    """What an access token may be used for, within the roles of its owner."""

    READ = "read"
    TRANSFER = "transfer"
    OPERATE = "operate"


TOKEN_SCOPES: Mapping[TokenScope, frozenset[Action]] = {
    TokenScope.READ: ALLOWED[Role.VIEWER] | {Action.SEE_DISABLED_STORES, Action.SEE_ALL_TRANSFERS},
    TokenScope.TRANSFER: frozenset(
        {
            Action.SEE_STORES,
            Action.SEE_TRANSFERS,
            Action.SEE_ALL_TRANSFERS,
            Action.SEND_FILES,
            Action.STEER_TRANSFERS,
        }
    ),
    TokenScope.OPERATE: frozenset(
        {
            Action.SEE_STORES,
            Action.LIST_UPLOADS,
            Action.SEE_OPERATIONS,
            Action.ABORT_UPLOADS,
            Action.COMPLETE_UPLOADS,
            Action.SCAN_STORES,
            Action.PLAN_SWEEPS,
            Action.APPROVE_SWEEPS,
        }
    ),
}
"""No token changes or checks stores, or manages users or alerts."""


def is_at_least(role: Role, least: Role) -> bool:
    return ROLES.index(role) >= ROLES.index(least)


@dataclass(frozen=True, slots=True)
class Place:
    """A store, a bucket of it, or a key in that bucket."""

    store_id: int
    bucket: str = ""
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a role is valid: everywhere, in a store, in a bucket of it, or below a prefix in that bucket.

    Keys are compared exactly, character by character: the prefix `a/` does not match the key `a`, and `a` matches `ab`.
    """

    store_id: int | None = None
    bucket: str = ""
    prefix: str = ""

    @property
    def is_everywhere(self) -> bool:
        return self == EVERYWHERE

    def includes(self, place: Place) -> bool:
        """Whether all of the place is in the scope."""
        if self.store_id not in (None, place.store_id):
            return False
        if self.bucket and self.bucket != place.bucket:
            return False
        return not self.prefix or (place.key is not None and place.key.startswith(self.prefix))

    def touches(self, place: Place) -> bool:
        """Whether something at the place is in the scope."""
        if self.store_id not in (None, place.store_id):
            return False
        if self.bucket and place.bucket and self.bucket != place.bucket:
            return False
        return place.key is None or place.key.startswith(self.prefix)

    def meet(self, other: Scope) -> Scope | None:
        """The scope that both include; None if there is none."""
        if self.store_id is not None and other.store_id not in (None, self.store_id):
            return None
        if self.bucket and other.bucket not in ("", self.bucket):
            return None
        if not (self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)):
            return None
        store_id = other.store_id if self.store_id is None else self.store_id
        return Scope(store_id, self.bucket or other.bucket, max(self.prefix, other.prefix, key=len))


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Limits:
    """What an access token leaves of the roles of its owner."""

    actions: frozenset[Action]
    scopes: tuple[Scope, ...] = (EVERYWHERE,)

    @classmethod
    def of_token(cls, scopes: Iterable[TokenScope], places: Iterable[Scope] = ()) -> Limits:
        """Those of a token with these scopes; without places, it is valid everywhere."""
        return cls(frozenset[Action]().union(*(TOKEN_SCOPES[each] for each in scopes)), tuple(places) or (EVERYWHERE,))


@dataclass(frozen=True, slots=True)
class Permission:
    """What one grant gives: a role in a scope. `actions` are those of the role that the limits of a token leave.

    `all_transfers`: it concerns the transfers of all users in the scope, and not only the own ones.
    """

    role: Role
    scope: Scope
    actions: frozenset[Action]
    all_transfers: bool = False

    def allows(self, action: Action, place: Place | None = None) -> bool:
        """Whether it includes the action at the place, or at something in it; without a place: anywhere."""
        if action not in self.actions:
            return False
        if action in EVERYWHERE_ONLY:
            return self.scope.is_everywhere
        if action in WHOLE_STORE and (self.scope.bucket or self.scope.prefix):
            return False
        return place is None or self.scope.touches(place)

    def limited(self, limits: Limits) -> Iterable[Permission]:
        """What the limits of a token leave of it."""
        for each in limits.scopes:
            scope = self.scope.meet(each)
            if scope is not None and self.actions & limits.actions:
                yield Permission(self.role, scope, self.actions & limits.actions, self.all_transfers)


def prefixes_within(requested: str, granted: Iterable[str]) -> tuple[str, ...]:
    """The prefix itself, if a granted one includes it; otherwise the granted ones that it includes, if any."""
    shortest = shortest_prefixes(granted)
    if any(requested.startswith(each) for each in shortest):
        return (requested,)
    return tuple(each for each in shortest if each.startswith(requested))


def folders_above(prefixes: Iterable[str], requested: str, delimiter: str) -> tuple[str, ...]:
    """The folders below the requested prefix that lead to these prefixes; without a delimiter, the prefixes."""
    folders = set()
    for prefix in prefixes:
        end = prefix.find(delimiter, len(requested)) if delimiter else -1
        folders.add(prefix[: end + len(delimiter)] if end >= 0 else prefix)
    return tuple(sorted(folders))


def shortest_prefixes(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Without those that others include, in order. The empty one includes all."""
    shortest: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not (shortest and prefix.startswith(shortest[-1])):
            shortest.append(prefix)
    return tuple(shortest)
