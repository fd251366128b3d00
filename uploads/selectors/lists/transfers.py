"""The list of transfers: its filter, and the transfers shown in a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from django.db.models import Q

from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import DesiredState, Phase, TransferState, shown_state
from uploads.models import Transfer
from uploads.models.node import silent_nodes
from uploads.models.transfer import browser_is_silent, has_no_space, store_is_failing
from uploads.selectors.lists.common import ListFilter, created_between, of_store, of_user
from uploads.selectors.lists.keyset import Condition, Search


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFilter(ListFilter):
    """`text` is a part of the key or of the name of the file."""

    state: TransferState | None = None
    text: str = ""


def search_transfers(user: AnyUser, wanted: TransferFilter) -> Search[Transfer]:
    """Raises NotAllowed."""
    return Search(access.transfers_to_see(user), tuple(_conditions(user, wanted)))


def _conditions(user: AnyUser, wanted: TransferFilter) -> Iterator[Condition]:
    """First those whose indexes usually have fewest transfers."""
    if wanted.state is not None:
        phases = sorted({phase for phase, _, states in _shown() if wanted.state in states})
        yield Condition(in_state(wanted.state), tuple(Q(phase=phase) for phase in phases))
    if wanted.owner:
        yield of_user("owner", wanted.owner)
    visible = access.transfers_condition(user)
    yield Condition(visible, () if access.may_see_all_transfers(user) else (Q(owner=access.actor(user).pk),))
    if wanted.store:
        yield of_store(user, wanted.store)
    if wanted.bucket:
        yield Condition(Q(bucket=wanted.bucket))
    if wanted.text:
        yield Condition(Q(key__icontains=wanted.text) | Q(filename__icontains=wanted.text))
    yield from created_between(wanted.since, wanted.until)


WAITS = ("node_is_silent", "browser_is_silent", "has_no_space", "store_is_failing")
"""What a transfer may wait for, as arguments of `shown_state`, what is shown first first."""


def in_state(state: TransferState) -> Q:
    """The filter for transfers shown in `state`: every pair of phase and desired state it is derived from."""
    condition = Q(pk__in=())
    waits = dict(
        zip(WAITS, (Q(node__in=silent_nodes()), browser_is_silent(), has_no_space(), store_is_failing()), strict=True)
    )
    for phase, desired_state, states in _shown():
        if state in states:
            pair = Q(phase=phase, desired_state=desired_state)
            condition |= pair & _where(state, phase, desired_state, {}, waits)
    return condition


def _shown() -> Iterator[tuple[Phase, DesiredState, frozenset[TransferState]]]:
    """Every pair of phase and desired state, and the states that transfers with it may be shown in."""
    for phase, desired_state in product(Phase, DesiredState):
        yield phase, desired_state, _possible(phase, desired_state, {})


def _possible(phase: Phase, desired_state: DesiredState, known: Mapping[str, bool]) -> frozenset[TransferState]:
    unknown = [name for name in WAITS if name not in known]
    combinations = (dict(zip(unknown, values, strict=True)) for values in product((False, True), repeat=len(unknown)))
    return frozenset(shown_state(phase, desired_state, **{**known, **each}) for each in combinations)


def _where(
    state: TransferState, phase: Phase, desired_state: DesiredState, known: Mapping[str, bool], waits: Mapping[str, Q]
) -> Q:
    """What must be true of the rest for a transfer to be shown in `state`, which is possible."""
    if _possible(phase, desired_state, known) == {state}:
        return Q()
    name = next(each for each in WAITS if each not in known)
    condition = Q(pk__in=())
    for value in (True, False):
        more = {**known, name: value}
        if state in _possible(phase, desired_state, more):
            here = waits[name] if value else ~waits[name]
            condition |= here & _where(state, phase, desired_state, more, waits)
    return condition
