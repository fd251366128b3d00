"""Giving roles to users and groups, and taking them away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction

from uploads import audit
from uploads.domain.roles import Role
from uploads.models import Grant, Store
from uploads.problems import Code, Problem, ProblemError
from uploads.services.people.administrators import keeping_an_administrator


class GrantRefused(ProblemError):
    """The grant exists already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantValues:
    """A role, and where it is valid. The form has checked that they fit together; the database does too."""

    role: Role
    store: Store | None = None
    bucket: str = ""
    prefix: str = ""
    all_transfers: bool = False


@transaction.atomic
def add_grant(actor: User | None, holder: User | Group, values: GrantValues) -> Grant:
    """Raises GrantRefused."""
    column = "user" if isinstance(holder, User) else "group"
    # One change of a holder at a time, so that no grant is given twice.
    type(holder)._default_manager.select_for_update().get(pk=holder.pk)
    place = {"store": values.store, "bucket": values.bucket, "prefix": values.prefix}
    if Grant.objects.filter(**{column: holder}, role=values.role, **place, all_transfers=values.all_transfers).exists():
        raise GrantRefused(Problem(Code.GRANT_EXISTS))
    grant = Grant.objects.create(
        **{column: holder}, role=values.role, **place, all_transfers=values.all_transfers, created_by=actor
    )
    _record(actor, "added", grant, after=facts(grant))
    return grant


def remove_grant(actor: User | None, grant: Grant) -> bool:
    """False if it was removed before. Raises LastAdministrator."""
    with keeping_an_administrator():
        before = facts(grant)
        deleted, _rows = Grant.objects.filter(pk=grant.pk).delete()
        if deleted:
            _record(actor, "removed", grant, before=before)
    return bool(deleted)


def facts(grant: Grant) -> dict[str, Any]:
    """What a grant gives, for the audit log."""
    found = {
        "role": grant.role,
        "store": grant.store.name if grant.store else "",
        "bucket": grant.bucket,
        "prefix": grant.prefix,
        "all_transfers": grant.all_transfers,
    }
    return {name: value for name, value in found.items() if value}


def _record(
    actor: User | None,
    what: str,
    grant: Grant,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    holder = {"user": grant.user.get_username()} if grant.user else {"group": grant.group.name if grant.group else ""}
    # Only the store is in a column: its viewers do not see who else has which role.
    audit.record(
        actor, f"grant.{what}", store=grant.store.name if grant.store else "", detail=holder, before=before, after=after
    )
