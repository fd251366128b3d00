"""Phases and allowed steps of transfers, parts, store uploads and operations. Pure.

A status is changed only by a filtered UPDATE whose filter is one of the step tables below, so that whatever runs twice
or late finds no row to change.
"""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """The store leg of a transfer."""

    RECEIVING = "receiving"
    SENDING = "sending"
    COMPLETING = "completing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DesiredState(StrEnum):
    """What the operator wants of a transfer."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class PartState(StrEnum):
    WAITING = "waiting"
    STAGED = "staged"
    SENDING = "sending"
    SENT = "sent"


class StoreUploadState(StrEnum):
    """OPEN until the store has confirmed that the upload is complete or gone. SUSPECT: it may be ours, nobody knows."""

    OPEN = "open"
    SUSPECT = "suspect"
    COMPLETED = "completed"
    GONE = "gone"


class OperationKind(StrEnum):
    ABORT = "abort"
    COMPLETE = "complete"


class ItemState(StrEnum):
    """One upload of an operation."""

    ORDERED = "ordered"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class TransferState(StrEnum):
    """What is shown of a transfer: derived from what was received, what is wanted and the phase."""

    RECEIVING = "receiving"
    SENDING = "sending"
    COMPLETING = "completing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


PHASE_STEPS: dict[Phase, frozenset[Phase]] = {
    Phase.RECEIVING: frozenset({Phase.SENDING, Phase.FAILED, Phase.CANCELLED}),
    Phase.SENDING: frozenset({Phase.COMPLETING, Phase.FAILED, Phase.CANCELLED}),
    Phase.COMPLETING: frozenset({Phase.SENDING, Phase.DONE, Phase.FAILED, Phase.CANCELLED}),
    Phase.FAILED: frozenset({Phase.SENDING, Phase.CANCELLED}),
    Phase.DONE: frozenset(),
    Phase.CANCELLED: frozenset(),
}
"""Where each phase may go. DONE and CANCELLED are final; FAILED rests until it is retried or discarded."""

FINAL_PHASES = frozenset(phase for phase, steps in PHASE_STEPS.items() if not steps)
LIVE_PHASES = frozenset({Phase.RECEIVING, Phase.SENDING, Phase.COMPLETING})
"""Phases in which something still has to happen by itself."""

PART_STEPS: dict[PartState, frozenset[PartState]] = {
    PartState.WAITING: frozenset({PartState.STAGED}),
    PartState.STAGED: frozenset({PartState.SENDING}),
    PartState.SENDING: frozenset({PartState.SENT, PartState.STAGED}),
    PartState.SENT: frozenset({PartState.STAGED}),
}
"""A sent part goes back to staged only while its bytes are still here (a new store upload after NoSuchUpload)."""

ITEM_STEPS: dict[ItemState, frozenset[ItemState]] = {
    ItemState.ORDERED: frozenset({ItemState.RUNNING}),
    ItemState.RUNNING: frozenset({ItemState.ORDERED, ItemState.DONE, ItemState.FAILED}),
    ItemState.DONE: frozenset(),
    ItemState.FAILED: frozenset(),
}
ACTIVE_ITEM_STATES = frozenset({ItemState.ORDERED, ItemState.RUNNING})


def phases_before(phase: Phase) -> frozenset[Phase]:
    """The phases from which `phase` may be reached: the filter of its UPDATE."""
    return frozenset(before for before, steps in PHASE_STEPS.items() if phase in steps)


def shown_state(phase: Phase, desired_state: DesiredState) -> TransferState:
    """The one word a page shows for a transfer."""
    if phase in FINAL_PHASES:
        return TransferState(phase.value)
    if desired_state is DesiredState.CANCEL:
        return TransferState.CANCELLING
    if phase is Phase.FAILED:
        return TransferState.FAILED
    return TransferState.PAUSED if desired_state is DesiredState.PAUSE else TransferState(phase.value)
