"""Who may do what. Every view loads its objects through the function of its action, and checks nothing itself.

`ALLOWED` is the whole policy: to add a role, add a row there and a line to `role_of`. An object that the user may not
see raises `NotVisible` (404), an action that the role does not include raises `NotAllowed` (403).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404

from uploads.models import AuditEntry, Operation, Store, StoreCheck, Transfer
from uploads.problems import Code, Problem, ProblemError

AnyUser = AbstractBaseUser | AnonymousUser
M = TypeVar("M", bound=Model)


class NotVisible(ProblemError, Http404):
    """The object does not exist, or the user may not see it."""


class Deleted(NotVisible):
    """The object ended and was deleted after a while. `entries` are what the audit log has about it, newest first."""

    def __init__(self, problem: Problem, entries: Sequence[AuditEntry]) -> None:
        super().__init__(problem)
        self.entries = entries


class NotAllowed(ProblemError, PermissionDenied):
    """The user's role does not include the action."""


class Role(StrEnum):
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """What the policy can allow. `SEE_ALL_...` and `SEE_DISABLED_STORES` widen what another action shows."""

    SEE_STORES = "see-stores"
    SEE_DISABLED_STORES = "see-disabled-stores"
    CHANGE_STORES = "change-stores"
    CHECK_STORES = "check-stores"
    LIST_UPLOADS = "list-uploads"
    ABORT_UPLOADS = "abort-uploads"
    COMPLETE_UPLOADS = "complete-uploads"
    SEE_OPERATIONS = "see-operations"
    SEND_FILES = "send-files"
    SEE_TRANSFERS = "see-transfers"
    SEE_ALL_TRANSFERS = "see-all-transfers"
    STEER_TRANSFERS = "steer-transfers"
    SEE_STAGING = "see-staging"
    SEE_AUDIT = "see-audit"


ADMINISTRATORS_ONLY = frozenset(
    {
        Action.SEE_DISABLED_STORES,
        Action.CHANGE_STORES,
        Action.CHECK_STORES,
        Action.SEE_ALL_TRANSFERS,
        Action.SEE_STAGING,
    }
)

ALLOWED: Mapping[Role, frozenset[Action]] = {
    Role.OPERATOR: frozenset(Action) - ADMINISTRATORS_ONLY,
    Role.ADMINISTRATOR: frozenset(Action),
}


def role_of(user: User) -> Role:
    return Role.ADMINISTRATOR if user.is_staff else Role.OPERATOR


# --- The policy applied -----------------------------------------------------------------------------------------------


def actor(user: AnyUser) -> User:
    """The signed-in user behind a request, whom services record as the actor."""
    if not isinstance(user, User) or not user.is_active:
        raise NotAllowed(Problem(Code.NOT_SIGNED_IN))
    return user


def may(user: AnyUser, action: Action) -> bool:
    """Whether the role of the user includes the action. Pages offer only such actions."""
    return action in ALLOWED[role_of(actor(user))]


def _require(user: AnyUser, action: Action) -> None:
    if not may(user, action):
        needs_administrator = action in ADMINISTRATORS_ONLY
        raise NotAllowed(Problem(Code.ADMINISTRATOR_REQUIRED if needs_administrator else Code.ACCESS_DENIED))


def _get(rows: QuerySet[M], problem: Problem, **fields: Any) -> M:
    found = rows.filter(**fields).first()
    if found is None:
        raise NotVisible(problem)
    return found


MAX_ENTRIES = 200
"""Audit entries that a page about a deleted object has."""


def _get_or_deleted(user: AnyUser, rows: QuerySet[M], missing: Problem, deleted: Problem, **entry: uuid.UUID) -> M:
    """As `_get`. Raises Deleted if the object is in the audit log only; `entry` is the column with its id."""
    (pk,) = entry.values()
    found = rows.filter(pk=pk).first()
    if found is not None:
        return found
    if may(user, Action.SEE_AUDIT) and not rows.model._default_manager.filter(pk=pk).exists():
        entries = list(AuditEntry.objects.filter(**entry)[:MAX_ENTRIES])
        if entries:
            raise Deleted(deleted, entries)
    raise NotVisible(missing)


# --- Stores -----------------------------------------------------------------------------------------------------------


def visible_stores(user: AnyUser) -> QuerySet[Store]:
    """The stores whose names the user may see, for pages about something else."""
    if not may(user, Action.SEE_STORES):
        return Store.objects.none()
    return Store.objects.all() if may(user, Action.SEE_DISABLED_STORES) else Store.objects.filter(enabled=True)


def _store(user: AnyUser, name: str, action: Action) -> Store:
    _require(user, action)
    return _get(visible_stores(user), Problem(Code.NO_SUCH_STORE, store=name), name=name)


def stores_to_see(user: AnyUser) -> QuerySet[Store]:
    _require(user, Action.SEE_STORES)
    return visible_stores(user)


def store_to_see(user: AnyUser, name: str) -> Store:
    """A store with its state, buckets and checks."""
    return _store(user, name, Action.SEE_STORES)


def may_change_stores(user: AnyUser) -> bool:
    """Whether pages offer to add and change stores."""
    return may(user, Action.CHANGE_STORES)


def actor_to_add_stores(user: AnyUser) -> User:
    _require(user, Action.CHANGE_STORES)
    return actor(user)


def store_to_change(user: AnyUser, name: str) -> Store:
    return _store(user, name, Action.CHANGE_STORES)


def may_check_stores(user: AnyUser) -> bool:
    """Whether pages offer to check a store."""
    return may(user, Action.CHECK_STORES)


def store_to_check(user: AnyUser, name: str) -> Store:
    """A store to request a check of, or to forget what checks found."""
    return _store(user, name, Action.CHECK_STORES)


def checks_to_see(user: AnyUser, store: Store) -> QuerySet[StoreCheck]:
    """Every user of a store may read what checks found."""
    _require(user, Action.SEE_STORES)
    checks = StoreCheck.objects.filter(store=store, store__in=visible_stores(user))
    return checks.select_related("store", "actor")


def check_to_see(user: AnyUser, store: Store, check_id: uuid.UUID) -> StoreCheck:
    return _get(checks_to_see(user, store), Problem(Code.NO_SUCH_CHECK), pk=check_id)


# --- Uploads ----------------------------------------------------------------------------------------------------------


def store_to_list(user: AnyUser, name: str) -> Store:
    """A store to list uploads and parts in."""
    return _store(user, name, Action.LIST_UPLOADS)


def store_to_abort_in(user: AnyUser, name: str) -> Store:
    return _store(user, name, Action.ABORT_UPLOADS)


def store_to_complete_in(user: AnyUser, name: str) -> Store:
    return _store(user, name, Action.COMPLETE_UPLOADS)


# --- Operations -------------------------------------------------------------------------------------------------------


def visible_operations(user: AnyUser) -> QuerySet[Operation]:
    """The operations of all actors, because they concern uploads that every operator sees."""
    if not may(user, Action.SEE_OPERATIONS):
        return Operation.objects.none()
    return Operation.objects.filter(store__in=visible_stores(user)).select_related("store", "actor")


def operation_to_see(user: AnyUser, operation_id: uuid.UUID) -> Operation:
    _require(user, Action.SEE_OPERATIONS)
    missing, deleted = Problem(Code.NO_SUCH_OPERATION), Problem(Code.OPERATION_DELETED)
    return _get_or_deleted(user, visible_operations(user), missing, deleted, operation_id=operation_id)


# --- Transfers --------------------------------------------------------------------------------------------------------


def stores_to_transfer_to(user: AnyUser) -> QuerySet[Store]:
    """The stores that a new transfer can name."""
    _require(user, Action.SEND_FILES)
    return visible_stores(user).filter(enabled=True)


def store_to_transfer_to(user: AnyUser, name: str) -> Store:
    return _store(user, name, Action.SEND_FILES)


def actor_to_send_files(user: AnyUser) -> User:
    _require(user, Action.SEND_FILES)
    return actor(user)


def transfers_to_send(user: AnyUser) -> QuerySet[Transfer]:
    """The user's own transfers: only the operator who started a transfer sends its bytes, whatever the role."""
    return Transfer.objects.filter(owner=actor_to_send_files(user)).select_related("store")


def transfer_to_send(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    return _get(transfers_to_send(user), Problem(Code.NO_SUCH_TRANSFER), pk=transfer_id)


def visible_transfers(user: AnyUser) -> QuerySet[Transfer]:
    """The user's own transfers, or everybody's where the role sees all."""
    transfers = Transfer.objects.select_related("store", "owner")
    if may(user, Action.SEE_ALL_TRANSFERS):
        return transfers
    return transfers.filter(owner=actor(user)) if may(user, Action.SEE_TRANSFERS) else transfers.none()


def transfers_to_see(user: AnyUser) -> QuerySet[Transfer]:
    _require(user, Action.SEE_TRANSFERS)
    return visible_transfers(user)


def transfer_to_see(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    missing, deleted = Problem(Code.NO_SUCH_TRANSFER), Problem(Code.TRANSFER_DELETED)
    return _get_or_deleted(user, transfers_to_see(user), missing, deleted, transfer_id=transfer_id)


def transfer_to_steer(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    """A transfer to pause, resume, retry or cancel."""
    _require(user, Action.STEER_TRANSFERS)
    return _get(visible_transfers(user), Problem(Code.NO_SUCH_TRANSFER), pk=transfer_id)


# --- Everything else --------------------------------------------------------------------------------------------------


def require_staging(user: AnyUser) -> None:
    """Staging has no row of its own: its page reads the usage of this node."""
    _require(user, Action.SEE_STAGING)


def audit_entries_to_see(user: AnyUser) -> QuerySet[AuditEntry]:
    _require(user, Action.SEE_AUDIT)
    return AuditEntry.objects.all()
