"""Recording sign-ins that failed. Nobody has to be known for that, so this alone must not fill the audit log."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from django.conf import settings

from uploads import audit
from uploads.problems import ProblemError
from uploads.services.sso.identities import SignInRefused

log = logging.getLogger(__name__)

MOST = 20
"""Failures of strangers that a process records in a minute. The log of the process has all of them."""
SECONDS = 60.0

recent: deque[float] = deque(maxlen=MOST)
_lock = threading.Lock()


def record(error: ProblemError) -> None:
    """A person whom the provider knows is recorded in any case."""
    log.warning("nobody is signed in by the OpenID provider: %s", error.problem)
    if isinstance(error, SignInRefused) or _is_one_of_few():
        user = error.user if isinstance(error, SignInRefused) else None
        audit.record(user, "sign-in.failed", detail={"issuer": settings.OIDC_ISSUER, "reason": error.problem})


def _is_one_of_few() -> bool:
    now = time.monotonic()
    with _lock:
        if len(recent) == MOST and now - recent[0] < SECONDS:
            return False
        recent.append(now)
        return True
