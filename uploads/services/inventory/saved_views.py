"""Saving, renaming and deleting views of the inventory. Every change is in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import InventoryView
from uploads.problems import Code, Problem, ProblemError

MAX_VIEWS = 100
"""Views of one user."""


class ViewRefused(ProblemError):
    """The view cannot be saved like this."""


@transaction.atomic
def save_view(user: User, name: str, query: str, *, is_shared: bool) -> InventoryView:
    """Save a view, or replace the own one with this name. Raises ViewRefused if there are too many."""
    # One request of a user at a time: the number of views is exact, and a name is taken once.
    User.objects.select_for_update().get(pk=user.pk)
    mine = InventoryView.objects.filter(user=user)
    before = mine.filter(name=name).first()
    if before is None and mine.count() >= MAX_VIEWS:
        raise ViewRefused(Problem(Code.TOO_MANY_VIEWS, limit=MAX_VIEWS))
    values = {"query": query, "is_shared": is_shared}
    view, _ = InventoryView.objects.update_or_create(user=user, name=name, defaults=values)
    _record(user, "saved", before=_facts(before) if before else None, after=_facts(view))
    return view


@transaction.atomic
def rename_view(actor: User, view: InventoryView, name: str) -> None:
    """Raises ViewRefused if another view of its user has this name."""
    User.objects.select_for_update().get(pk=view.user_id)
    if InventoryView.objects.filter(user=view.user_id, name=name).exclude(pk=view.pk).exists():
        raise ViewRefused(Problem(Code.VIEW_NAME_TAKEN, name=name))
    before = _facts(view)
    if name == view.name or not InventoryView.objects.filter(pk=view.pk).update(name=name):
        return
    view.name = name
    _record(actor, "renamed", before=before, after=_facts(view))


@transaction.atomic
def delete_view(actor: User, view: InventoryView) -> bool:
    """False if it was deleted before."""
    deleted, _ = InventoryView.objects.filter(pk=view.pk).delete()
    if deleted:
        _record(actor, "deleted", before=_facts(view))
    return bool(deleted)


def _record(actor: User, what: str, **facts: Any) -> None:
    audit.record(actor, f"inventory-view.{what}", **facts)


def _facts(view: InventoryView) -> dict[str, Any]:
    return {"name": view.name, "query": view.query, "shared": view.is_shared}
