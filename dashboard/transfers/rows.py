"""A transfer as pages and JSON show it: the model and its progress, seen together."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.urls import reverse

from dashboard.shared.messages import error_json, text_of
from uploads.domain.states import DesiredState, Phase, TransferState, shown_state
from uploads.models import Transfer
from uploads.objectstore.checksums import as_store_writes_it
from uploads.selectors.transfers import TransferProgress, progress_of, why_waiting
from uploads.services.transfers.steps import can_retry

MOVING = frozenset({TransferState.RECEIVING, TransferState.SENDING, TransferState.COMPLETING, TransferState.CANCELLING})
"""States that change by themselves: what is worth polling."""

SPOKEN = {
    TransferState.COMPLETING: "All parts are in the store; the object is being completed.",
    TransferState.PAUSED: "Paused.",
    TransferState.CANCELLING: "Being cancelled.",
    TransferState.DONE: "Done: the object is in the store.",
    TransferState.FAILED: "Failed.",
    TransferState.CANCELLED: "Cancelled.",
}


CRC64_NAMES = {"nvme": ("CRC-64/NVME", "base64"), "ecma": ("CRC-64/ECMA", "decimal")}


@dataclass(frozen=True, slots=True)
class TransferRow:
    transfer: Transfer
    progress: TransferProgress

    @property
    def waiting(self) -> str:
        """Why the transfer does not move, as text; empty if it moves."""
        problem = why_waiting(self.transfer)
        return text_of(problem) if problem else ""

    @property
    def crc64(self) -> dict[str, str] | None:
        return crc64_json(self.transfer)

    @property
    def state(self) -> TransferState:
        return self.transfer.state

    @property
    def is_live(self) -> bool:
        """Whether something still changes by itself; bytes of a paused transfer may still be arriving."""
        is_receiving = self.state is TransferState.PAUSED and not self.transfer.all_received
        return self.state in MOVING or is_receiving

    @property
    def received(self) -> tuple[int, int]:
        """How far the first leg is: a value and its maximum."""
        return _leg(self.progress.bytes_received, self.transfer.size, whole=self.transfer.all_received)

    @property
    def sent(self) -> tuple[int, int]:
        return _leg(self.progress.bytes_sent, self.transfer.size, whole=self.state is TransferState.DONE)

    @property
    def percent(self) -> int:
        """How much of the file is in the store, rounded down."""
        value, maximum = self.sent
        return value * 100 // maximum

    @property
    def announcement(self) -> str:
        """What a screen reader is told; it changes at 25 % steps and with the state."""
        if self.state in SPOKEN:
            return SPOKEN[self.state]
        if not self.transfer.all_received:
            value, maximum = self.received
            return f"{value * 100 // maximum // 25 * 25} % received, {self.percent // 25 * 25} % in the store."
        return f"{self.percent // 25 * 25} % in the store."

    @property
    def seen(self) -> str:
        """Names what changes seldom (state, facts, error): while it stays, a poll brings only the moving part."""
        transfer = self.transfer
        facts = (
            self.state,
            self.progress.upload_id,
            transfer.etag,
            transfer.verified,
            transfer.error,
            self.waiting,
            transfer.sha256,
        )
        return f"{zlib.crc32(repr(facts).encode()):08x}"

    @property
    def said(self) -> str:
        return f"{zlib.crc32(self.announcement.encode()):08x}"


def _leg(value: int, size: int, *, whole: bool) -> tuple[int, int]:
    """An empty file has no bytes to count: its leg is nothing or all."""
    return (min(value, size), size) if size else (int(whole), 1)


def rows_of(transfers: Sequence[Transfer]) -> list[TransferRow]:
    """The rows of a whole page."""
    progress = progress_of(transfers)
    return [TransferRow(transfer, progress[transfer.pk]) for transfer in transfers]


def row_of(transfer: Transfer) -> TransferRow:
    return rows_of([transfer])[0]


def allowed_steps(transfer: Transfer) -> frozenset[str]:
    """The steps that a page offers; the services have the last word."""
    match transfer.state:
        case TransferState.RECEIVING | TransferState.SENDING:
            return frozenset({"pause", "cancel"})
        case TransferState.PAUSED if transfer.phase != Phase.COMPLETING:
            return frozenset({"resume", "cancel"})
        case TransferState.FAILED:
            return frozenset({"retry", "cancel"} if can_retry(transfer) else {"cancel"})
        case _:
            return frozenset()


def in_state(state: TransferState) -> Q:
    """The filter for transfers that are shown in `state`: every pair of facts that it is derived from."""
    filters = Q()
    for phase in Phase:
        for wanted in DesiredState:
            if shown_state(phase, wanted) is state:
                filters |= Q(phase=phase, desired_state=wanted)
    return filters


def transfer_json(row: TransferRow) -> dict[str, Any]:
    """The fixed shape of a transfer in JSON."""
    progress = row.progress
    return {
        "id": str(row.transfer.pk),
        "state": row.state.value,
        "size": row.transfer.size,
        "bytes_received": progress.bytes_received,
        "bytes_sent": progress.bytes_sent,
        "parts": {
            "count": row.transfer.part_count,
            "received": progress.parts_received,
            "sent": progress.parts_sent,
        },
        "upload_id": progress.upload_id,
        "error": error_json(row.transfer.error),
        "store": row.transfer.store.name,
        "bucket": row.transfer.bucket,
        "key": row.transfer.key,
        "url": reverse("transfer", args=[row.transfer.pk]),
        "waiting": row.waiting or None,
        "steps": sorted(allowed_steps(row.transfer)),
        "crc64": crc64_json(row.transfer),
        "sha256": row.transfer.sha256 or None,
    }


def crc64_json(transfer: Transfer) -> dict[str, str] | None:
    """The whole object's CRC-64: which one, its hexadecimal digits, and as the store's own tools write it."""
    algorithm, _, digits = transfer.crc64.partition(":")
    if not digits:
        return None
    name, stores = CRC64_NAMES[algorithm]
    written = as_store_writes_it("ecma" if algorithm == "ecma" else "nvme", int(digits, 16))
    return {"algorithm": name, "value": digits, stores: written}
