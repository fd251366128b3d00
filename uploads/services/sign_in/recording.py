"""What is recorded when somebody signs in or out, whichever way they use: receivers of Django's signals."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from uploads import audit
from uploads.origin import current
from uploads.services.sign_in import lockout, sessions

log = logging.getLogger(__name__)

UNKNOWN = "?"
"""In place of a name that is no account."""


def _was_sent(request: HttpRequest | None) -> bool:
    """Whether somebody sent the request. Commands and tests sign users in with an empty one."""
    return request is not None and "REMOTE_ADDR" in request.META


@receiver(user_logged_in)
def _signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    sessions.begin(request.session)
    if _was_sent(request):
        audit.record(user, "sign-in.done")


@receiver(user_login_failed)
def _failed(credentials: dict[str, Any], request: Any = None, **_: Any) -> None:
    """After django-axes has counted it. Whoever guesses against a lock adds no row to the audit log."""
    if not _was_sent(request):
        return
    name = _recorded_name(credentials)
    if request.axes_locked_out and request.axes_failures_since_start is None:
        log.warning("sign-in refused, as it is locked: %s from %s", name, current().address)
        return
    log.warning("sign-in failed: %s from %s", name, current().address)
    audit.record(None, "sign-in.failed", actor_name=name)
    if request.axes_locked_out:
        log.warning("sign-in locked: %s from %s", name, current().address)
        audit.record(None, "sign-in.locked", actor_name=name, outcome=audit.Outcome.REFUSED)


def _recorded_name(credentials: dict[str, Any]) -> str:
    """Names that are no accounts are not recorded: people type passwords into that field."""
    name = credentials.get("username")
    return name if isinstance(name, str) and lockout.is_account(name) else UNKNOWN


@receiver(user_logged_out)
def _signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None and _was_sent(request):
        audit.record(user, "sign-in.ended")
