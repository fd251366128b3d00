"""Conditions that several lists have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q

from uploads import access
from uploads.access import AnyUser
from uploads.selectors.lists.keyset import Condition

NOTHING = Q(pk__in=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """What every list can be filtered by. '' and None: anything. The times are those when the rows were created."""

    store: str = ""
    bucket: str = ""
    owner: str = ""
    since: datetime | None = None
    until: datetime | None = None


def of_store(user: AnyUser, name: str) -> Condition:
    """Rows of a store that the user may see; none if there is no such store."""
    pk = access.visible_stores(user).filter(name=name).values_list("pk", flat=True).first()
    return Condition(NOTHING) if pk is None else equal(store=pk)


def of_user(column: str, username: str) -> Condition:
    """Rows of a user; none if there is no such user."""
    pk = User.objects.filter(username=username).values_list("pk", flat=True).first()
    return Condition(NOTHING) if pk is None else equal(**{column: pk})


def equal(**values: object) -> Condition:
    condition = Q(**values)
    return Condition(condition, (condition,))


def created_between(since: datetime | None, until: datetime | None) -> Iterator[Condition]:
    if since is not None:
        yield Condition(Q(created_at__gte=since), range_of="created_at")
    if until is not None:
        yield Condition(Q(created_at__lt=until), range_of="created_at")
