"""The two legs of a transfer, Browser → Partway and Partway → store, as pages show them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.shared.formatting import bytes_text, duration_text, rate_text
from dashboard.shared.numbers import Count
from uploads.domain.states import TransferState
from uploads.models import Transfer
from uploads.selectors.transfers import TransferProgress


@dataclass(frozen=True, slots=True)
class Leg:
    """`value` of `maximum` is done. `amount` says so in bytes and parts, `pace` how fast it is or that it is done."""

    title: str
    label: str
    icon: str
    value: int
    maximum: int
    amount: str | SafeString = ""
    pace: str = ""


def leg_of(value: int, size: int, *, is_complete: bool) -> tuple[int, int]:
    """A value and its maximum. An empty file has no bytes to count: its legs are at nothing or all."""
    return (min(value, size), size) if size else (int(is_complete), 1)


def legs_of(transfer: Transfer, progress: TransferProgress) -> list[Leg]:
    return [_receiving(transfer, progress), _sending(transfer, progress)]


def _receiving(transfer: Transfer, progress: TransferProgress) -> Leg:
    value, maximum = leg_of(progress.bytes_received, transfer.size, is_complete=transfer.all_received)
    amount = _("%(done)s of %(total)s") % {
        "done": bytes_text(progress.bytes_received),
        "total": bytes_text(transfer.size),
    }
    pace = ""
    if transfer.all_received:
        pace = _("all received")
    elif progress.receive_rate:
        pace = rate_text(progress.receive_rate)
    return Leg(_("Browser → Partway"), _("Received from the browser"), "device-laptop", value, maximum, amount, pace)


def _sending(transfer: Transfer, progress: TransferProgress) -> Leg:
    is_done = transfer.state is TransferState.DONE
    value, maximum = leg_of(progress.bytes_sent, transfer.size, is_complete=is_done)
    amount = ngettext(
        "%(done)s of %(total)s · %(sent)s of %(count)s part",
        "%(done)s of %(total)s · %(sent)s of %(count)s parts",
        transfer.part_count,
    ) % {
        "done": bytes_text(progress.bytes_sent),
        "total": bytes_text(transfer.size),
        "sent": Count(progress.parts_sent),
        "count": Count(transfer.part_count),
    }
    pace = _sending_pace(transfer, progress)
    return Leg(_("Partway → store"), _("Sent to the store"), "database", value, maximum, amount, pace)


def _sending_pace(transfer: Transfer, progress: TransferProgress) -> str:
    if transfer.state is TransferState.DONE:
        return _("all sent")
    if transfer.state is TransferState.COMPLETING:
        return _("completing the object")
    if not progress.send_rate:
        return ""
    rate = rate_text(progress.send_rate)
    if progress.seconds_left is None:
        return rate
    return _("%(rate)s · about %(time)s left") % {"rate": rate, "time": duration_text(progress.seconds_left)}
