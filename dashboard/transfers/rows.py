"""A transfer with its progress, as pages and JSON show it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dashboard.shared.formatting import key_mark_text, percent, percent_text, rate_text
from dashboard.shared.messages import error_text, text_of
from dashboard.shared.messages.proofs import verification_text
from dashboard.shared.messages.stores import CHECKSUMS
from dashboard.transfers.legs import Leg, leg_of, legs_of
from uploads.domain.states import FINAL_PHASES, Phase, TransferState
from uploads.models import Part, Transfer
from uploads.objectstore.checksums import as_store_writes_it
from uploads.problems import Code, Problem, RecordedError
from uploads.selectors.transfers import (
    ABOUT_THE_BROWSER,
    PartRun,
    TransferProgress,
    progress_of,
    reasons_for_waiting,
    why_waiting,
)
from uploads.services.browse.browsing import provider_of
from uploads.services.transfers.steps import can_retry
from uploads.services.transfers.verify import can_verify
from uploads.services.upkeep.health import sender_is_missing

MOVING = frozenset(
    {
        TransferState.RECEIVING,
        TransferState.SENDING,
        TransferState.WAITING_FOR_BROWSER,
        TransferState.WAITING_FOR_NODE,
        TransferState.WAITING_FOR_SPACE,
        TransferState.WAITING_FOR_STORE,
        TransferState.COMPLETING,
        TransferState.CANCELLING,
    }
)
"""States that change without an operator: pages poll them."""

ANNOUNCED = {
    TransferState.WAITING_FOR_BROWSER: _("The browser has stopped sending."),
    TransferState.COMPLETING: _("All parts are in the store. The object is being completed."),
    TransferState.PAUSED: _("Paused."),
    TransferState.WAITING_FOR_NODE: _("Waiting for the node that has its bytes."),
    TransferState.WAITING_FOR_SPACE: _("Waiting for space on this server."),
    TransferState.WAITING_FOR_STORE: _("Waiting for the store."),
    TransferState.CANCELLING: _("Cancelling."),
    TransferState.DONE: _("Done. The object is in the store."),
    TransferState.FAILED: _("Failed."),
    TransferState.CANCELLED: _("Cancelled."),
}

ENDED_WELL = frozenset({TransferState.DONE, TransferState.CANCELLED})

RESULTS = {TransferState.DONE: _("Done"), TransferState.FAILED: _("Failed")}

CRC64_NAMES = {"nvme": ("CRC-64/NVME", "base64"), "ecma": ("CRC-64/ECMA", "decimal")}


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A transfer as pages show it. `state` is found once, as a page names it several times."""

    transfer: Transfer
    progress: TransferProgress
    state: TransferState = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", self.transfer.state)

    @property
    def waiting(self) -> str:
        """Why the transfer does not move, as text; empty if it moves."""
        return text_of(self.waits_for) if self.waits_for else ""

    @property
    def waits_for(self) -> Problem | None:
        return why_waiting(self.transfer, self.error) or self._waits_for_sender

    @property
    def _waits_for_sender(self) -> Problem | None:
        """That parts wait on a node where no process sends them. Asked only where nothing moves."""
        transfer, progress = self.transfer, self.progress
        staged = progress.bytes_received - progress.bytes_sent
        has_part = staged > 0 and (transfer.all_received or staged >= transfer.part_size)
        is_idle = self.state is TransferState.SENDING and not progress.send_rate
        if is_idle and has_part and sender_is_missing(transfer.node):
            return Problem(Code.WAITING_FOR_SENDER, node=transfer.node)
        return None

    @property
    def browser_waits(self) -> str:
        """That the browser has stopped sending, and what to do."""
        reasons = reasons_for_waiting(self.transfer, self.error)
        return next((text_of(each) for each in reasons if each.code in ABOUT_THE_BROWSER), "")

    @property
    def failing(self) -> str:
        """What follows an error of a transfer that runs; the browser is another matter."""
        reasons = reasons_for_waiting(self.transfer, self.error)
        found = (text_of(each) for each in reasons if each.code not in ABOUT_THE_BROWSER)
        return next(found, gettext("The last attempt failed."))

    @property
    def can_expire(self) -> bool:
        """Whether the transfer is cancelled, and what has arrived deleted, if nothing more arrives."""
        return not self.transfer.all_received and self.state not in (*FINAL_PHASES, TransferState.CANCELLING)

    @property
    def waits_for_browser(self) -> bool:
        return self.state is TransferState.WAITING_FOR_BROWSER

    @property
    def verification(self) -> str:
        """What was proved of the object of a transfer that is done."""
        return verification_text(verified=self.transfer.verified, proofs=self.transfer.proofs)

    @property
    def is_unverified(self) -> bool:
        """Whether the store has confirmed the object, and HEAD has not, or not yet."""
        transfer = self.transfer
        is_completed = transfer.phase == Phase.DONE or transfer.completed_at is not None
        return is_completed and not transfer.verified and transfer.phase in (Phase.COMPLETING, Phase.DONE)

    @property
    def abort_not_verified(self) -> bool:
        """Whether the store accepted the abort of its upload, and then could not be asked whether parts are left."""
        return self.transfer.error_reason == Code.ABORT_NOT_VERIFIED

    @property
    def left_on_node(self) -> bool:
        """Whether a node that is silent since before the end may still have staged bytes."""
        silent_since, ended = self.transfer.node_silent_since, self.transfer.finished_at
        return silent_since is not None and ended is not None and silent_since < ended

    @property
    def bucket_was_gone(self) -> bool:
        """Whether the store responded to the abort of its upload that the bucket does not exist."""
        return self.transfer.error_reason == Code.BUCKET_GONE

    @property
    def error(self) -> RecordedError | None:
        """The last error of the transfer or of one of its parts. One of a finished transfer is its verification's."""
        return None if self.transfer.phase == Phase.DONE else self.transfer.error or self.progress.part_error

    @property
    def etags_are_no_md5s(self) -> bool:
        """Whether a store check, or sending, has found that the ETags of the store do not show what was received."""
        return not provider_of(self.transfer.store).etag_is_md5

    @property
    def checksum(self) -> str:
        """What the store verifies the parts by, if it is not Content-MD5."""
        return "" if self.transfer.checksum == "md5" else CHECKSUMS[self.transfer.checksum]

    @property
    def crc64(self) -> dict[str, str] | None:
        return crc64_of(self.transfer)

    @property
    def reason(self) -> str:
        """In one line, why the transfer has failed or waits."""
        if self.state in ENDED_WELL:
            return self.verification if self.is_unverified and self.state is TransferState.DONE else ""
        error = error_text(self.error) if self.error else ""
        if self.state in (TransferState.FAILED, TransferState.PAUSED):
            return error
        return " ".join(filter(None, [self.waiting, error]))

    @property
    def reason_code(self) -> str:
        """The code of the error that the reason names."""
        return self.error.code if self.error and self.reason and self.state not in ENDED_WELL else ""

    @property
    def whole_reason(self) -> str:
        """The reason with what only support of the store needs."""
        request_id = self.error.request_id if self.reason and self.error else ""
        more = gettext("Request id %(id)s") % {"id": request_id} if request_id else ""
        return " ".join(filter(None, [self.reason, more]))

    @property
    def waits_since(self) -> datetime | None:
        """Since when it waits for its browser or for its store."""
        if self.state is TransferState.WAITING_FOR_STORE:
            return self.transfer.store_fails_since
        return self.transfer.last_received_at if self.waits_for_browser else None

    @property
    def is_live(self) -> bool:
        """Whether the transfer changes without an operator. A paused one may still be receiving."""
        is_receiving = self.state is TransferState.PAUSED and not self.transfer.all_received
        return self.state in MOVING or is_receiving

    @property
    def received(self) -> tuple[int, int]:
        """The progress of Browser → Partway: a value and its maximum."""
        return leg_of(self.progress.bytes_received, self.transfer.size, is_complete=self.transfer.all_received)

    @property
    def sent(self) -> tuple[int, int]:
        """The progress of Partway → store: a value and its maximum."""
        return leg_of(self.progress.bytes_sent, self.transfer.size, is_complete=self.state is TransferState.DONE)

    @property
    def legs(self) -> list[Leg]:
        return legs_of(self.transfer, self.progress)

    @property
    def rate(self) -> str:
        """The rate of Partway → store, or of the other leg while nothing moves there; empty if nothing moves."""
        rate = self.progress.send_rate or self.progress.receive_rate
        return rate_text(rate) if rate else ""

    @property
    def seconds_left(self) -> float | None:
        return self.progress.seconds_left if self.is_live else None

    @property
    def percent(self) -> int:
        """The percentage of the file that is in the store, rounded down."""
        return percent(*self.sent)

    @property
    def title(self) -> str:
        """The title of the page. The progress, or the result, comes first: tabs are narrow."""
        result = percent_text(self.percent) if self.is_live else str(RESULTS.get(self.state, ""))
        return " · ".join(filter(None, [result, key_mark_text(self.transfer.key), "Partway"]))

    @property
    def announcement(self) -> str:
        """The text for screen readers. It changes in steps of 25 % and with the state."""
        if self.is_unverified and self.is_live:
            return gettext("Completed in the store; not verified yet.")
        if self.state in ANNOUNCED:
            return str(ANNOUNCED[self.state])
        if not self.transfer.all_received:
            texts = {"received": _quarters(percent(*self.received)), "sent": _quarters(self.percent)}
            return gettext("%(received)s received, %(sent)s in the store.") % texts
        return gettext("%(sent)s in the store.") % {"sent": _quarters(self.percent)}

    @property
    def seen(self) -> str:
        """A digest of what rarely changes: state, facts, error. While it stays, a poll fetches only the progress."""
        transfer = self.transfer
        facts = (
            self.state,
            self.progress.upload_id,
            transfer.etag,
            transfer.verified,
            transfer.proofs,
            transfer.completed_at,
            transfer.lost_creates,
            self.progress.possible_orphans,
            transfer.error,
            self.waiting,
            transfer.sha256,
            self.etags_are_no_md5s,
        )
        return f"{zlib.crc32(repr(facts).encode()):08x}"

    @property
    def said(self) -> str:
        return f"{zlib.crc32(self.announcement.encode()):08x}"

    def shown(self, runs: Sequence[PartRun], errors: Sequence[Part]) -> str:
        """A digest of all that the page shows, besides times that pass. While it stays, a poll gets nothing."""
        failed = [(part.number, part.tries, part.error) for part in errors]
        shown = (self.seen, self.said, self.progress, self.is_live, runs, failed)
        return f"{zlib.crc32(repr(shown).encode()):08x}"


def _quarters(whole_percent: int) -> str:
    """Rounded down to 0 %, 25 %, 50 %, 75 % or 100 %."""
    return percent_text(whole_percent // 25 * 25)


def digest_of(rows: Sequence[TransferRow]) -> str:
    """A digest of what the list shows of these rows. While it stays, a poll gets nothing."""
    shown = [(row.transfer.pk, row.seen, row.received, row.sent, row.rate, row.seconds_left) for row in rows]
    return f"{zlib.crc32(repr(shown).encode()):08x}"


def rows_of(transfers: Sequence[Transfer]) -> list[TransferRow]:
    """The rows of a whole page."""
    progress = progress_of(transfers)
    return [TransferRow(transfer, progress[transfer.pk]) for transfer in transfers]


def row_of(transfer: Transfer) -> TransferRow:
    return rows_of([transfer])[0]


def allowed_steps(transfer: Transfer) -> frozenset[str]:
    """The steps that a page offers. The services check them again."""
    match transfer.state:
        case (
            TransferState.RECEIVING
            | TransferState.SENDING
            | TransferState.WAITING_FOR_BROWSER
            | TransferState.WAITING_FOR_NODE
            | TransferState.WAITING_FOR_SPACE
        ):
            return frozenset({"pause", "cancel"})
        case TransferState.WAITING_FOR_STORE if transfer.phase != Phase.COMPLETING:
            return frozenset({"pause", "cancel"})
        case TransferState.PAUSED if transfer.phase != Phase.COMPLETING:
            return frozenset({"resume", "cancel"})
        case TransferState.FAILED:
            return frozenset({"retry", "cancel"} if can_retry(transfer) else {"cancel"})
        case TransferState.DONE if can_verify(transfer):
            return frozenset({"verify"})
        case _:
            return frozenset()


def crc64_of(transfer: Transfer) -> dict[str, str] | None:
    """The CRC-64 of the object: its kind, its hexadecimal digits, and the notation of the store's own tools."""
    algorithm, _, digits = transfer.crc64.partition(":")
    if not digits:
        return None
    name, stores = CRC64_NAMES[algorithm]
    written = as_store_writes_it("ecma" if algorithm == "ecma" else "nvme", int(digits, 16))
    return {"algorithm": name, "value": digits, stores: written}
