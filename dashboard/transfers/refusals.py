"""When another attempt of a new transfer makes sense that was refused."""

from __future__ import annotations

from dashboard.shared.explain import explain
from uploads.services.transfers.start import TooManyOpen, TransferRefused

TOO_MANY_SECONDS = 30
"""Transfers of other files have to end first."""


def retry_after_of(refusal: TransferRefused) -> int | None:
    """Seconds; None if it is not known."""
    if isinstance(refusal, TooManyOpen):
        return TOO_MANY_SECONDS
    return explain(refusal.store_error).retry_after if refusal.store_error else None
