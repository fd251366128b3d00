"""The transition tables: final states are final, and every phase that is not can still end."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from uploads.domain.states import (
    DESIRED_STATES,
    FINAL_PHASES,
    ITEM_STATES,
    LIVE_PHASES,
    PART_STATES,
    PHASES,
    STORE_UPLOAD_STATES,
    DesiredState,
    ItemState,
    NoSuchTransition,
    PartState,
    Phase,
    StoreUploadState,
    TransferState,
    Transitions,
    shown_state,
)


def test_only_done_and_cancelled_are_final() -> None:
    assert {Phase.DONE, Phase.CANCELLED} == FINAL_PHASES
    assert {*LIVE_PHASES, *FINAL_PHASES, Phase.FAILED} == set(Phase)


def test_every_phase_that_is_not_final_can_be_cancelled() -> None:
    for phase in set(Phase) - FINAL_PHASES:
        assert Phase.CANCELLED in PHASES.steps[phase]


@pytest.mark.parametrize(
    ("table", "states"),
    [
        (PHASES, Phase),
        (DESIRED_STATES, DesiredState),
        (PART_STATES, PartState),
        (STORE_UPLOAD_STATES, StoreUploadState),
        (ITEM_STATES, ItemState),
    ],
)
def test_each_table_covers_every_state_of_its_column(table: Transitions[Any], states: type[StrEnum]) -> None:
    assert set(table.steps) == set(states)
    assert frozenset().union(*table.steps.values()) <= set(states)
    assert all(state not in steps for state, steps in table.steps.items())


def test_sources_are_the_states_that_may_change_to_a_state() -> None:
    assert PHASES.sources(Phase.DONE) == {Phase.COMPLETING}
    assert PHASES.sources(Phase.SENDING) == {Phase.RECEIVING, Phase.COMPLETING, Phase.FAILED}
    assert PHASES.sources(Phase.SENDING, {Phase.FAILED}) == {Phase.FAILED}


def test_a_transition_that_the_table_does_not_have_is_an_error() -> None:
    with pytest.raises(NoSuchTransition, match="from done to sending"):
        PHASES.sources(Phase.SENDING, {Phase.DONE})
    with pytest.raises(NoSuchTransition, match="from receiving to completing"):
        PHASES.sources(Phase.COMPLETING, {Phase.RECEIVING, Phase.SENDING})
    with pytest.raises(NoSuchTransition, match="from any state to receiving"):
        PHASES.sources(Phase.RECEIVING)


def test_every_pair_of_phase_and_desired_state_has_one_shown_state() -> None:
    shown = {(phase, desired): shown_state(phase, desired) for phase in Phase for desired in DesiredState}
    assert shown[Phase.SENDING, DesiredState.PAUSE] is TransferState.PAUSED
    assert shown[Phase.SENDING, DesiredState.CANCEL] is TransferState.CANCELLING
    assert shown[Phase.FAILED, DesiredState.RUN] is TransferState.FAILED
    assert shown[Phase.DONE, DesiredState.CANCEL] is TransferState.DONE
    assert shown[Phase.CANCELLED, DesiredState.CANCEL] is TransferState.CANCELLED
