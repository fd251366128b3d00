"""Who may load what. Every load of a store, transfer or operation goes through here, and views hold no second check.

Today any signed-in operator may use every enabled store, and administrators (staff) may change stores and see every
transfer. What a user may not see raises Http404, what a role does not allow raises PermissionDenied.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404

from uploads.models import AuditEntry, Operation, Store, StoreCheck, Transfer

AnyUser = AbstractBaseUser | AnonymousUser


def operator(user: AnyUser) -> User:
    """The signed-in operator behind a request. PermissionDenied for anybody else."""
    if not isinstance(user, User) or not user.is_active:
        raise PermissionDenied("Sign in first.")
    return user


def require_administrator(user: AnyUser) -> User:
    someone = operator(user)
    if not someone.is_staff:
        raise PermissionDenied("Only an administrator may do this.")
    return someone


def is_administrator(user: AnyUser) -> bool:
    return isinstance(user, User) and user.is_active and user.is_staff


def visible_stores(user: AnyUser) -> QuerySet[Store]:
    """The stores a user may use; administrators see the disabled ones too."""
    stores = Store.objects.all()
    return stores if is_administrator(operator(user)) else stores.filter(enabled=True)


def get_store(user: AnyUser, name: str) -> Store:
    """A store to use. Http404 where it does not exist or the user may not see it."""
    store = visible_stores(user).filter(name=name).first()
    if store is None:
        raise Http404(f"There is no store {name!r}.")
    return store


def get_store_to_change(user: AnyUser, name: str) -> Store:
    require_administrator(user)
    return get_store(user, name)


def visible_transfers(user: AnyUser) -> QuerySet[Transfer]:
    """One's own transfers; an administrator's are all."""
    transfers = Transfer.objects.select_related("store", "owner")
    someone = operator(user)
    return transfers if someone.is_staff else transfers.filter(owner=someone)


def get_transfer(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    transfer = visible_transfers(user).filter(pk=transfer_id).first()
    if transfer is None:
        raise Http404("There is no such transfer.")
    return transfer


def own_transfer(user: AnyUser, transfer_id: uuid.UUID) -> Transfer | None:
    """The bytes of a file are its operator's alone: nobody else sends them, whatever their role."""
    return Transfer.objects.select_related("store").filter(pk=transfer_id, owner=operator(user)).first()


def visible_operations(user: AnyUser) -> QuerySet[Operation]:
    """Operations concern uploads that every operator sees, so every operator sees them."""
    return Operation.objects.filter(store__in=visible_stores(user)).select_related("store", "actor")


def get_operation(user: AnyUser, operation_id: uuid.UUID) -> Operation:
    operation = visible_operations(user).filter(pk=operation_id).first()
    if operation is None:
        raise Http404("There is no such operation.")
    return operation


def visible_checks(user: AnyUser) -> QuerySet[StoreCheck]:
    """What a store can do concerns everybody who may use it."""
    return StoreCheck.objects.filter(store__in=visible_stores(user)).select_related("store", "actor")


def get_check(user: AnyUser, store: Store, check_id: uuid.UUID) -> StoreCheck:
    check = visible_checks(user).filter(store=store, pk=check_id).first()
    if check is None:
        raise Http404("There is no such check of this store.")
    return check


def visible_audit_entries(user: AnyUser) -> QuerySet[AuditEntry]:
    operator(user)
    return AuditEntry.objects.all()
