"""Opening a request's body, with a limit on how long to wait for the sender."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.http import HttpRequest

from dashboard.shared.activity import keep_session
from uploads.staging.body import Body, Patience


def decodes_chunks(request: HttpRequest) -> bool:
    """Whether the web server decodes a body in chunks, and ends it where its last chunk ends."""
    return bool(request.META.get("wsgi.input_terminated"))


def open_body(request: HttpRequest, length: int | None) -> Body:
    """The `length` bytes of the request's body, not yet read; None if it is in chunks."""
    patience = Patience(settings.RECEIVE_STALL_SECONDS, settings.RECEIVE_LEAST_RATE)
    # A file may take longer to arrive than a session lasts without activity.
    return Body(request.META, length, patience, moving=partial(keep_session, request))
