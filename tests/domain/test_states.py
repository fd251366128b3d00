"""The step tables: final phases are final, and every phase that is not can still end."""

from __future__ import annotations

from uploads.domain.states import (
    FINAL_PHASES,
    ITEM_STEPS,
    LIVE_PHASES,
    PART_STEPS,
    PHASE_STEPS,
    DesiredState,
    ItemState,
    PartState,
    Phase,
    TransferState,
    phases_before,
    shown_state,
)


def test_done_and_cancelled_are_final_and_nothing_else_is() -> None:
    assert {Phase.DONE, Phase.CANCELLED} == FINAL_PHASES
    assert {*LIVE_PHASES, *FINAL_PHASES, Phase.FAILED} == set(Phase)


def test_every_phase_can_still_end() -> None:
    for phase in set(Phase) - FINAL_PHASES:
        assert Phase.CANCELLED in PHASE_STEPS[phase]


def test_steps_go_to_states_that_exist() -> None:
    assert set(PART_STEPS) == set(PartState)
    assert set(ITEM_STEPS) == set(ItemState)
    assert phases_before(Phase.DONE) == {Phase.COMPLETING}


def test_every_pair_of_phase_and_want_is_shown_as_one_word() -> None:
    shown = {(phase, want): shown_state(phase, want) for phase in Phase for want in DesiredState}
    assert shown[Phase.SENDING, DesiredState.PAUSE] is TransferState.PAUSED
    assert shown[Phase.SENDING, DesiredState.CANCEL] is TransferState.CANCELLING
    assert shown[Phase.FAILED, DesiredState.RUN] is TransferState.FAILED
    assert shown[Phase.DONE, DesiredState.CANCEL] is TransferState.DONE
    assert shown[Phase.CANCELLED, DesiredState.CANCEL] is TransferState.CANCELLED
