"""The leased work of transfers: their parts, and the steps of a transfer as a whole."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from django.db import transaction

from uploads import access
from uploads.domain.roles import Action
from uploads.domain.states import PART_STATES, PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.problems import Problem
from uploads.services.transfers.dispatch import dispatch, dispatch_many, due_transfers
from uploads.services.transfers.ending import ends_unverified, fail_transfer, finish_transfer
from uploads.services.work.attempts import MAX_ATTEMPTS
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.tasks import dispatch_batches, guard, record_worker_lost

NOTHING_MOVED = {"moved": 0, "moved_at": None, "mark_moved": 0, "mark_at": None}
"""The columns of a part of which nothing was sent in this attempt."""


def refusal_of(transfer: Transfer) -> Problem | None:
    """Why the transfer is not continued: its owner may not send files to this place any more.

    A completion that was requested is continued: only its outcome is found out.
    """
    if transfer.complete_sent_at is not None or transfer.completed_at is not None:
        return None
    return access.no_longer_allowed(transfer.owner, Action.SEND_FILES, transfer, transfer.access_token_id)


def _resume(transfer: Transfer, seconds: float) -> None:
    enqueue_on_commit("dispatch_transfer", [transfer.pk], countdown=seconds)


def _resume_part(part: Part, seconds: float) -> None:
    _resume(part.transfer, seconds)
    dispatch(part.transfer_id)  # Another part may take its place meanwhile.


def _give_up_part(lease: Lease[Part], error: dict[str, Any]) -> None:
    with transaction.atomic():
        if lease.release(**error):
            fail_transfer(lease.row.transfer_id, error)


def _give_up_transfer(lease: Lease[Transfer], error: dict[str, Any]) -> None:
    if ends_unverified(lease.row, error):
        finish_transfer(lease, Phase.DONE, verified=False, **error)
    elif not fail_transfer(lease.row.pk, error, lease.token):
        # It is being cancelled: the cancellation needs the lease.
        lease.release(**error)


def _lose_worker(lease: Lease[Transfer]) -> None:
    """The error of a transfer that is being cancelled, such as `Expired`, is replaced only after many losses."""
    transfer, attempts = lease.row, lease.row.tries + 1
    if transfer.desired_state == DesiredState.CANCEL and transfer.error_code and attempts < MAX_ATTEMPTS:
        lease.release(tries=attempts)
    else:
        record_worker_lost(lease)


def dispatch_guarded(transfer_id: uuid.UUID) -> None:
    """`dispatch`; an internal error counts as a failed attempt of the transfer."""
    guard(TRANSFERS, TRANSFERS.waiting_rows().filter(pk=transfer_id), partial(dispatch, transfer_id))


def _dispatch_due(limit: int) -> int:
    """Transfers that have not ended, are neither paused nor failed, and lack a step; and cancellations."""
    return dispatch_batches(due_transfers(limit), dispatch_many, dispatch_guarded)


PARTS = register(
    Kind(
        name="part",
        model=Part,
        table=PART_STATES,
        waiting=PartState.STAGED,
        running=PartState.SENDING,
        on_take=NOTHING_MOVED,
        on_return=NOTHING_MOVED,
        related=("transfer__store", "transfer__owner"),
        facts=lambda part: {"transfer": part.transfer_id, "part": part.number},
        resume=_resume_part,
        give_up=_give_up_part,
        worker_lost=record_worker_lost,
    )
)
"""`dispatch` of their transfer enqueues parts, a few at a time."""

TRANSFERS = register(
    Kind(
        name="transfer",
        model=Transfer,
        table=PHASES,
        related=("store", "owner"),
        facts=lambda transfer: {"transfer": transfer.pk},
        resume=_resume,
        give_up=_give_up_transfer,
        worker_lost=_lose_worker,
        dispatch_due=_dispatch_due,
    )
)
