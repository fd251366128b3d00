"""The list of operations, and its filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import ACTIVE_ITEM_STATES, DesiredState, ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.selectors.lists.common import ListFilter, created_between, equal, of_store, of_user
from uploads.selectors.lists.keyset import Condition, Search

OPERATION_STATES = (
    "running",
    "pausing",
    "paused",
    "stopping",
    "done",
    "failed",
    "partly-failed",
    "unknown",
    "halted",
)
"""The states of `OperationProgress`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFilter(ListFilter):
    """`text` is a part of a key, or an upload id as a whole."""

    state: str = ""
    kind: OperationKind | None = None
    text: str = ""


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
    running, left = Q(_items(Q(state=ItemState.RUNNING))), Q(_items(Q(state=ItemState.LEFT)))
    paused = Q(desired_state=DesiredState.PAUSE)
    failed, unknown = Q(_items(Q(state=ItemState.FAILED))), Q(_items(Q(state=ItemState.UNKNOWN)))
    other_than_failed = Q(_items(~Q(state=ItemState.FAILED)))
    has_ended = ~active & ~failed & ~unknown
    conditions = {
        "running": active & Q(desired_state=DesiredState.RUN),
        "pausing": active & paused & running,
        "paused": active & paused & ~running,
        "stopping": active & Q(desired_state=DesiredState.CANCEL),
        "failed": ~active & failed & ~other_than_failed,
        "partly-failed": ~active & failed & other_than_failed,
        "unknown": ~active & ~failed & unknown,
        "halted": has_ended & left,
    }
    return conditions.get(state, has_ended & ~left)
