"""Receiving: bytes arrive from the browser and are staged, split at part boundaries."""

from uploads.services.transfers.receive.receiver import (
    QuotaExceeded,
    Receiver,
    ReceivingStopped,
    WrongLength,
    abandon,
    take_up,
)

__all__ = ["QuotaExceeded", "Receiver", "ReceivingStopped", "WrongLength", "abandon", "take_up"]
