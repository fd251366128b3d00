"""A transfer that has the key of a new one, as the user may see it: the text, and the fields of the JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from dashboard.shared.jsonapi import iso
from dashboard.shared.messages import text_of
from uploads import access
from uploads.access import AnyUser
from uploads.domain.states import Phase, TransferState
from uploads.models import Transfer
from uploads.problems import Code, Problem
from uploads.selectors.transfers import progress_of

RETRY_AFTER_SECONDS = 2
"""How long the cancellation of a discarded transfer usually takes."""


@dataclass(frozen=True, slots=True)
class InTheWay:
    """`transfer` is None if the user may not see it."""

    transfer: Transfer | None
    problem: Problem
    can_discard: bool
    bytes_received: int = 0

    @property
    def text(self) -> str:
        return text_of(self.problem)

    @property
    def retry_after(self) -> int | None:
        return RETRY_AFTER_SECONDS if self.problem.code == Code.KEY_BUSY_CANCELLING else None

    def as_json(self) -> dict[str, Any] | None:
        if self.transfer is None:
            return None
        return {
            "id": str(self.transfer.pk),
            "state": self.transfer.state.value,
            "size": self.transfer.size,
            "bytes_received": self.bytes_received,
            "url": reverse("transfer", args=[self.transfer.pk]),
            "started": iso(self.transfer.created_at),
            "can_discard": self.can_discard,
        }


def in_the_way(user: AnyUser, transfer: Transfer) -> InTheWay:
    """What `user` may know of a transfer that has the key of a new one."""
    try:
        access.transfer_to_steer(user, transfer.pk)
    except (access.NotVisible, access.NotAllowed):
        return InTheWay(None, Problem(Code.KEY_BUSY_OTHER_OPERATOR), can_discard=False)
    received = progress_of([transfer])[transfer.pk].bytes_received
    if transfer.phase == Phase.COMPLETING:
        return InTheWay(transfer, Problem(Code.KEY_BUSY_COMPLETING), can_discard=False, bytes_received=received)
    if transfer.state is TransferState.CANCELLING:
        return InTheWay(transfer, Problem(Code.KEY_BUSY_CANCELLING), can_discard=True, bytes_received=received)
    return InTheWay(transfer, _problem(transfer, received), can_discard=True, bytes_received=received)


def _problem(transfer: Transfer, received: int) -> Problem:
    """Why the key of an unfinished transfer is in use."""
    if transfer.node_silent_since is not None:
        since_at = transfer.node_silent_since.isoformat()
        return Problem(Code.KEY_BUSY_ON_SILENT_NODE, node=transfer.node, since_at=since_at)
    return Problem(
        Code.KEY_BUSY_RECEIVED if transfer.all_received else Code.KEY_BUSY_RECEIVING,
        started_at=transfer.created_at.isoformat(),
        received_bytes=received,
        size_bytes=transfer.size,
    )
