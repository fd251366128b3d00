"""Opening a request's body: a limited number of them at a time, with a limit on how long to wait for the sender."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.http import HttpRequest

from dashboard.shared.activity import keep_session
from uploads.problems import Code, Problem, ProblemError
from uploads.staging.body import Body, Patience

_slots = threading.BoundedSemaphore(settings.RECEIVE_SLOTS)


class NoSlot(ProblemError):
    """This server is receiving as many bodies as it may: the other threads serve pages."""


@contextmanager
def receiving_slot() -> Iterator[None]:
    """Occupy one of the slots for arriving bodies. Raises NoSlot at once if none is free."""
    if not _slots.acquire(blocking=False):
        raise NoSlot(Problem(Code.RECEIVE_SLOTS_BUSY))
    try:
        yield
    finally:
        _slots.release()


def decodes_chunks(request: HttpRequest) -> bool:
    """Whether the web server decodes a body in chunks, and ends it where its last chunk ends."""
    return bool(request.META.get("wsgi.input_terminated"))


def open_body(request: HttpRequest, length: int | None) -> Body:
    """The `length` bytes of the request's body, not yet read; None if it is in chunks."""
    patience = Patience(settings.RECEIVE_STALL_SECONDS, settings.RECEIVE_LEAST_RATE)
    # A file may take longer to arrive than a session lasts without activity.
    return Body(request.META, length, patience, moving=partial(keep_session, request))
