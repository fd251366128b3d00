"""The states of transfers, parts, store uploads and items, and the transitions between them. Pure.

Once a row exists, only `uploads.services.work.transitions.change` writes its state: a filtered UPDATE that matches the
states from which a table below allows the transition. Work that runs twice or late therefore finds no row to change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar


class Phase(StrEnum):
    """How far a transfer is on its way to the store."""

    RECEIVING = "receiving"
    SENDING = "sending"
    COMPLETING = "completing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DesiredState(StrEnum):
    """What the operator wants a transfer or an operation to do."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class PartState(StrEnum):
    WAITING = "waiting"
    STAGED = "staged"
    SENDING = "sending"
    SENT = "sent"


class StoreUploadState(StrEnum):
    """OPEN until the store has confirmed that the upload is completed or gone. SUSPECT: a possible orphan of ours."""

    OPEN = "open"
    SUSPECT = "suspect"
    COMPLETED = "completed"
    GONE = "gone"


class OperationKind(StrEnum):
    ABORT = "abort"
    COMPLETE = "complete"


class ItemState(StrEnum):
    """One upload of an operation. UNKNOWN: it may have had an effect, and nothing more will find that out.

    SPARED: it was not aborted, because a part arrived lately. LEFT: the operation was stopped before it was begun.
    """

    ORDERED = "ordered"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SPARED = "spared"
    LEFT = "left"


class SweepState(StrEnum):
    """PLANNED waits for approval. PROVING: the run has ended, and ListParts shows what is left.

    STOPPED: too many uploads failed. FAILED: the plan could not be made. EXPIRED: the plan was not run in time.
    """

    PLANNING = "planning"
    PLANNED = "planned"
    APPROVED = "approved"
    RUNNING = "running"
    PAUSED = "paused"
    PROVING = "proving"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"


class SweepItemState(StrEnum):
    """One upload of a plan. SPARED: it was not aborted, and its error says why. UNKNOWN as for items of operations."""

    PLANNED = "planned"
    ORDERED = "ordered"
    RUNNING = "running"
    DONE = "done"
    SPARED = "spared"
    FAILED = "failed"
    UNKNOWN = "unknown"


class TransferState(StrEnum):
    """The state that pages show: derived from the phase, the desired state, and what the transfer waits for."""

    RECEIVING = "receiving"
    SENDING = "sending"
    WAITING_FOR_BROWSER = "waiting-for-browser"
    WAITING_FOR_NODE = "waiting-for-node"
    WAITING_FOR_SPACE = "waiting-for-space"
    WAITING_FOR_STORE = "waiting-for-store"
    COMPLETING = "completing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


State = TypeVar("State", bound=StrEnum)


class NoSuchTransition(ValueError):
    """The table does not have this transition."""


@dataclass(frozen=True, slots=True)
class Transitions(Generic[State]):
    """The column that holds a state, and the states that each state may change to."""

    field: str
    steps: Mapping[State, frozenset[State]]

    def sources(self, to: State, only: Collection[State] = ()) -> frozenset[State]:
        """The states that may change to `to`, or those in `only`. Raises NoSuchTransition if one of them may not."""
        allowed = frozenset(state for state, steps in self.steps.items() if to in steps)
        sources = frozenset(only) or allowed
        if not sources or not sources <= allowed:
            names = ", ".join(sorted(sources - allowed)) or "any state"
            raise NoSuchTransition(f"{self.field}: no transition from {names} to {to.value}")
        return sources

    @property
    def final(self) -> frozenset[State]:
        return frozenset(state for state, steps in self.steps.items() if not steps)


PHASES = Transitions(
    "phase",
    {
        Phase.RECEIVING: frozenset({Phase.SENDING, Phase.FAILED, Phase.CANCELLED}),
        Phase.SENDING: frozenset({Phase.COMPLETING, Phase.FAILED, Phase.CANCELLED}),
        Phase.COMPLETING: frozenset({Phase.SENDING, Phase.DONE, Phase.FAILED, Phase.CANCELLED}),
        Phase.FAILED: frozenset({Phase.SENDING, Phase.COMPLETING, Phase.CANCELLED}),
        Phase.DONE: frozenset(),
        Phase.CANCELLED: frozenset(),
    },
)
"""DONE and CANCELLED are final. FAILED stays until the transfer is retried or discarded.

A transfer that failed after the store had confirmed its completion goes back to COMPLETING, which verifies the object.
COMPLETING becomes SENDING again if parts have to be sent again.
"""

FINAL_PHASES = PHASES.final
NEEDS_NODE = frozenset({Phase.RECEIVING, Phase.SENDING})
"""Phases in which staged bytes are still needed. Every later step needs only the store, and any node takes it."""
LIVE_PHASES = frozenset({Phase.RECEIVING, Phase.SENDING, Phase.COMPLETING})
"""Phases in which work remains that needs no operator."""

DESIRED_STATES = Transitions(
    "desired_state",
    {
        DesiredState.RUN: frozenset({DesiredState.PAUSE, DesiredState.CANCEL}),
        DesiredState.PAUSE: frozenset({DesiredState.RUN, DesiredState.CANCEL}),
        DesiredState.CANCEL: frozenset(),
    },
)
"""A cancellation cannot be withdrawn."""

PART_STATES = Transitions(
    "state",
    {
        PartState.WAITING: frozenset({PartState.STAGED}),
        PartState.STAGED: frozenset({PartState.SENDING, PartState.WAITING}),
        PartState.SENDING: frozenset({PartState.SENT, PartState.STAGED, PartState.WAITING}),
        PartState.SENT: frozenset({PartState.STAGED, PartState.WAITING}),
    },
)
"""A sent part becomes staged again only while its bytes are still staged: the store does not have it as it was sent.

A part waits again for its bytes if the disk has lost them, and so does every part that follows it: a file arrives in
order.
"""

STORE_UPLOAD_STATES = Transitions(
    "state",
    {
        StoreUploadState.OPEN: frozenset({StoreUploadState.COMPLETED, StoreUploadState.GONE}),
        StoreUploadState.SUSPECT: frozenset({StoreUploadState.GONE}),
        StoreUploadState.COMPLETED: frozenset(),
        StoreUploadState.GONE: frozenset(),
    },
)

ITEM_STATES = Transitions(
    "state",
    {
        ItemState.ORDERED: frozenset({ItemState.RUNNING, ItemState.FAILED, ItemState.LEFT}),
        ItemState.RUNNING: frozenset(
            {ItemState.ORDERED, ItemState.DONE, ItemState.FAILED, ItemState.UNKNOWN, ItemState.SPARED}
        ),
        ItemState.DONE: frozenset(),
        ItemState.FAILED: frozenset(),
        ItemState.UNKNOWN: frozenset(),
        ItemState.SPARED: frozenset(),
        ItemState.LEFT: frozenset(),
    },
)
"""Of the items of operations, of store checks, and of scans, their buckets and batches. Only items of operations are
spared or left.
"""


class EndedHow(StrEnum):
    """How an upload of the inventory ended. COMPLETED and ABORTED: by Partway. RULE: by a lifecycle rule, whose
    time had come. ELSEWHERE: by another program, or by a rule that the store does not name.
    """

    COMPLETED = "completed"
    ABORTED = "aborted"
    RULE = "rule"
    ELSEWHERE = "elsewhere"


SWEEP_STATES = Transitions(
    "state",
    {
        SweepState.PLANNING: frozenset({SweepState.PLANNED, SweepState.CANCELLED, SweepState.FAILED}),
        SweepState.PLANNED: frozenset({SweepState.APPROVED, SweepState.DONE, SweepState.CANCELLED, SweepState.EXPIRED}),
        SweepState.APPROVED: frozenset({SweepState.RUNNING, SweepState.CANCELLED, SweepState.EXPIRED}),
        SweepState.RUNNING: frozenset({SweepState.PAUSED, SweepState.PROVING}),
        SweepState.PAUSED: frozenset({SweepState.RUNNING, SweepState.PROVING}),
        SweepState.PROVING: frozenset({SweepState.DONE, SweepState.STOPPED, SweepState.CANCELLED, SweepState.FAILED}),
        SweepState.DONE: frozenset(),
        SweepState.STOPPED: frozenset(),
        SweepState.CANCELLED: frozenset(),
        SweepState.FAILED: frozenset(),
        SweepState.EXPIRED: frozenset(),
    },
)
"""A run that is cancelled or stopped is proved as well."""

SWEEP_ITEM_STATES = Transitions(
    "state",
    {
        SweepItemState.PLANNED: frozenset({SweepItemState.ORDERED, SweepItemState.FAILED, SweepItemState.UNKNOWN}),
        SweepItemState.ORDERED: frozenset({SweepItemState.RUNNING, SweepItemState.PLANNED}),
        SweepItemState.RUNNING: frozenset(
            {
                SweepItemState.ORDERED,
                SweepItemState.DONE,
                SweepItemState.SPARED,
                SweepItemState.FAILED,
                SweepItemState.UNKNOWN,
            }
        ),
        SweepItemState.DONE: frozenset(),
        SweepItemState.SPARED: frozenset(),
        SweepItemState.FAILED: frozenset(),
        SweepItemState.UNKNOWN: frozenset(),
    },
)
"""Uploads of a run that is cancelled stay planned, except those of which an abort was requested already."""

ACTIVE_ITEM_STATES = frozenset({ItemState.ORDERED, ItemState.RUNNING})


NEEDS_STORE = frozenset({Phase.SENDING, Phase.COMPLETING})
"""Phases in which nothing goes on while the store does not work."""


def shown_state(
    phase: Phase,
    desired_state: DesiredState,
    *,
    node_is_silent: bool = False,
    browser_is_silent: bool = False,
    has_no_space: bool = False,
    store_is_failing: bool = False,
) -> TransferState:
    """The state that a page shows.

    `node_is_silent`: nothing is heard of the node with the bytes. `browser_is_silent`: bytes of the file are missing,
    and none arrive. `has_no_space`: staging has no space for the next part. `store_is_failing`: the requests of the
    transfer fail, or all of its store do. Of several, the first is shown: an operator can do most about it.
    """
    if phase in FINAL_PHASES:
        return TransferState(phase.value)
    if desired_state is DesiredState.CANCEL:
        return TransferState.CANCELLING
    if phase is Phase.FAILED:
        return TransferState.FAILED
    if desired_state is DesiredState.PAUSE:
        return TransferState.PAUSED
    waits = (
        (TransferState.WAITING_FOR_NODE, phase in NEEDS_NODE and node_is_silent),
        (TransferState.WAITING_FOR_BROWSER, phase in NEEDS_NODE and browser_is_silent),
        (TransferState.WAITING_FOR_SPACE, phase in NEEDS_NODE and has_no_space),
        (TransferState.WAITING_FOR_STORE, phase in NEEDS_STORE and store_is_failing),
    )
    return next((state for state, does_wait in waits if does_wait), TransferState(phase.value))
