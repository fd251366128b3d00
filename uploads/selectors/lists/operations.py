"""The list of operations, and its filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import ACTIVE_ITEM_STATES, ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.selectors.lists.common import created_between, equal, of_store, of_user
from uploads.selectors.lists.keyset import Condition, Search

OPERATION_STATES = ("running", "done", "failed", "partly-failed", "unknown")
"""The states of `OperationProgress`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFilter:
    """'' and None: anything. `text` is a part of a key, or an upload id as a whole. The times are of the request."""

    state: str = ""
    kind: OperationKind | None = None
    store: str = ""
    bucket: str = ""
    owner: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


def search_operations(user: AnyUser, wanted: OperationFilter) -> Search[Operation]:
    """Raises NotAllowed."""
    return Search(access.operations_to_see(user), tuple(_conditions(user, wanted)))


def _conditions(user: AnyUser, wanted: OperationFilter) -> Iterator[Condition]:
    if wanted.owner:
        yield of_user("actor", wanted.owner)
    if wanted.store:
        yield of_store(user, wanted.store)
    if wanted.kind is not None:
        yield equal(kind=wanted.kind.value)
    yield Condition(access.operations_condition(user))
    if wanted.state:
        yield Condition(_in_state(wanted.state))
    if wanted.bucket:
        yield Condition(Q(bucket=wanted.bucket))
    if wanted.text:
        yield Condition(Q(_items(Q(key__icontains=wanted.text) | Q(upload_id=wanted.text))))
    yield from created_between(wanted.since, wanted.until)


def _items(condition: Q) -> Exists:
    return Exists(OperationItem.objects.filter(condition, operation=OuterRef("pk")))


def _in_state(state: str) -> Q:
    """Operations that `operation_progress` gives this state."""
    active = Q(_items(Q(state__in=sorted(ACTIVE_ITEM_STATES))))
    failed, unknown = Q(_items(Q(state=ItemState.FAILED))), Q(_items(Q(state=ItemState.UNKNOWN)))
    other_than_failed = Q(_items(~Q(state=ItemState.FAILED)))
    match state:
        case "running":
            return active
        case "failed":
            return ~active & failed & ~other_than_failed
        case "partly-failed":
            return ~active & failed & other_than_failed
        case "unknown":
            return ~active & ~failed & unknown
        case _:
            return ~active & ~failed & ~unknown
