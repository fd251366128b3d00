"""A new transfer that was refused: when another attempt makes sense, and which response of the store is the reason."""

from __future__ import annotations

from dashboard.shared.explain import explain
from dashboard.shared.messages import refusal_text
from dashboard.shared.messages.reasons import RECORDED
from uploads.problems import Code
from uploads.services.transfers.start import TooManyOpen, TransferRefused

TOO_MANY_SECONDS = 30
"""Transfers of other files have to end first."""


def retry_after_of(refusal: TransferRefused) -> int | None:
    """Seconds; None if it is not known."""
    if isinstance(refusal, TooManyOpen):
        return TOO_MANY_SECONDS
    return explain(refusal.store_error).retry_after if refusal.store_error else None


def request_id_of(refusal: TransferRefused) -> str:
    """The request id of the store's response that is the reason; '' if there is none."""
    return refusal.store_error.request_id if refusal.store_error else ""


def refusal_fields(refusal: TransferRefused) -> dict[str, str]:
    """The errors by form field. The field of a destination says only why; the whole text belongs to the whole form."""
    text = refusal_text(refusal.problem, refusal.store_error)
    if refusal.problem.code != Code.DESTINATION_REFUSED or refusal.store_error is None:
        return {refusal.field: text}
    return {"": text, refusal.field: str(RECORDED[refusal.store_error.reason])}
