"""Whether the store accepts files at a destination, before the first byte is sent.

One request shows it: a missing bucket, a missing permission or wrong credentials. What does not show it clearly does
not stop a transfer, because the store might accept its parts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict

from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.services.stores.clients import ONCE, client_for

log = logging.getLogger(__name__)

VALID_SECONDS = 60.0
"""How long a positive response is valid for other files."""

MAX_REMEMBERED = 1000
"""The number of destinations that a process remembers."""

CERTAIN = frozenset(
    {
        Reason.NO_SUCH_BUCKET,
        Reason.PERMISSION,
        Reason.CREDENTIALS,
        Reason.CREDENTIALS_EXPIRED,
        Reason.ACCOUNT,
        Reason.CLOCK_SKEW,
        Reason.WRONG_REGION,
    }
)
"""Refusals that every part would get as well, if the store names them with a code."""

_Destination = tuple[int, tuple[object, ...], str, str]

_lock = threading.Lock()
_accepted: OrderedDict[_Destination, float] = OrderedDict()


def check_destination(store: Store, bucket: str, key: str) -> None:
    """Send at most one request, unless the store has accepted files there within VALID_SECONDS.

    Raises Refused if the store certainly accepts no file there. Changed settings of the store are checked again.
    """
    destination = (store.pk, store.written_settings, bucket, first_folder(key))
    if _is_remembered(destination):
        return
    try:
        client_for(store, ONCE).check_writing(bucket, key)
    except Refused as refused:
        if refused.reason in CERTAIN and refused.has_code:
            raise
        log.info("%s/%s: whether files are accepted is not clear: %s", store.name, bucket, refused)
    except ObjectStoreError as error:
        # The store may respond when the first part is complete.
        log.info("%s/%s: whether files are accepted is not known: %s", store.name, bucket, error)
        return
    _remember(destination)


def first_folder(key: str) -> str:
    """Policies often allow one folder of a bucket. All files of a folder that is uploaded have the same one."""
    folder, slash, _ = key.partition("/")
    return folder + slash if slash else ""


def _is_remembered(destination: _Destination) -> bool:
    with _lock:
        until = _accepted.get(destination)
        return until is not None and time.monotonic() < until


def _remember(destination: _Destination) -> None:
    with _lock:
        _accepted[destination] = time.monotonic() + VALID_SECONDS
        _accepted.move_to_end(destination)
        while len(_accepted) > MAX_REMEMBERED:
            _accepted.popitem(last=False)
