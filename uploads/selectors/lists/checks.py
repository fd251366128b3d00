"""The list of store checks, and its filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import ItemState
from uploads.models import StoreCheck
from uploads.selectors.lists.common import ListFilter, created_between, equal, of_store, of_user
from uploads.selectors.lists.keyset import Condition, Search


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFilter(ListFilter):
    state: ItemState | None = None


def search_checks(user: AnyUser, wanted: CheckFilter) -> Search[StoreCheck]:
    """Raises NotAllowed."""
    return Search(access.all_checks_to_see(user), tuple(_conditions(user, wanted)))


def _conditions(user: AnyUser, wanted: CheckFilter) -> Iterator[Condition]:
    if wanted.store:
        yield of_store(user, wanted.store)
    if wanted.state is not None:
        yield equal(state=wanted.state.value)
    if wanted.owner:
        yield of_user("actor", wanted.owner)
    yield Condition(access.checks_condition(user))
    if wanted.bucket:
        yield Condition(Q(bucket=wanted.bucket))
    yield from created_between(wanted.since, wanted.until)
