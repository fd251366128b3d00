"""Opening a request's body: a place among those that are taken at a time, and the patience with its sender."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import HttpRequest

from uploads.staging.body import Body, Patience

_slots = threading.BoundedSemaphore(settings.RECEIVE_SLOTS)


class NoSlot(Exception):
    """As many bodies are arriving as this server takes at a time: the pages need the other threads."""


@contextmanager
def receiving_slot() -> Iterator[None]:
    """Hold one of the places of arriving bodies. Raises NoSlot at once where there is none."""
    if not _slots.acquire(blocking=False):
        raise NoSlot("Too many files are arriving at the moment. Try again in a few seconds.")
    try:
        yield
    finally:
        _slots.release()


def open_body(request: HttpRequest, length: int) -> Body:
    """The `length` bytes of the request's body, none of them read yet."""
    patience = Patience(settings.RECEIVE_STALL_SECONDS, settings.RECEIVE_LEAST_RATE)
    return Body(request.META, length, patience)
