"""Receiving: bytes arrive from the browser and are staged, split at part boundaries."""

from uploads.services.transfers.receive.ending import INCOMPLETE_BODY, abandon
from uploads.services.transfers.receive.errors import GaveWay, QuotaExceeded, ReceivingStopped, WrongLength
from uploads.services.transfers.receive.receiver import Receiver, recover
from uploads.services.transfers.receive.together import TogetherReceiver

__all__ = [
    "INCOMPLETE_BODY",
    "GaveWay",
    "QuotaExceeded",
    "Receiver",
    "ReceivingStopped",
    "TogetherReceiver",
    "WrongLength",
    "abandon",
    "recover",
]
