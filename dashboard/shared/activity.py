"""What keeps a session from ending after SESSION_IDLE_SECONDS."""

from __future__ import annotations

import logging

from django.db import Error as DatabaseError
from django.http import HttpRequest

from uploads.services.sign_in import sessions

log = logging.getLogger(__name__)

BACKGROUND = "Partway-Background"
"""A header of requests that pages repeat without their operator (static/polling.js): an open page is no activity."""


def keep_session(request: HttpRequest) -> None:
    """Renew the session of the request. Its outcome does not depend on that."""
    try:
        sessions.keep(request.session)
    except DatabaseError as error:
        log.warning("a session could not be renewed: %s", error)
