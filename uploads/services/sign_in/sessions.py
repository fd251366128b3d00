"""Keeping and ending sessions."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import audit
from uploads.models.session import Session
from uploads.services.sign_in.session_store import ENDS_AT, SIGNED_IN_AT, SessionStore, row_key

STEP = timedelta(minutes=1)
"""A session is renewed at most this often, so that not every request writes."""


def begin(session: SessionBase) -> None:
    """Count the absolute limit from now: somebody has signed in."""
    session[SIGNED_IN_AT] = time.time()


def end_at(session: SessionBase, at: float) -> None:
    """End the session at this time, in seconds since 1970, if its limits do not end it before."""
    session[ENDS_AT] = at


def keep(session: SessionBase) -> None:
    """Renew the session, because its operator has done something or is sending a file. Ended ones stay ended."""
    if not isinstance(session, SessionStore) or not session.session_key or session.expires_at is None:
        return
    expiry = session.expiry()
    if expiry - session.expires_at >= STEP:
        Session.objects.filter(pk=row_key(session.session_key)).update(expire_date=expiry)
        session.expires_at = expiry


def sign_out_everywhere(user: User, actor: User | None, *, except_key: str | None = None) -> int:
    """End all sessions of a user, except the one with this key. Returns how many there were.

    Call it when a user is disabled, when a password changes, and when a second factor is reset. Requests that are
    running end normally.
    """
    with transaction.atomic():
        count = sessions_of(user).exclude(pk=row_key(except_key)).delete()[0]
        audit.record(actor, "session.ended-everywhere", detail={"user": user.get_username(), "sessions": count})
    return count


def sessions_of(user: User) -> QuerySet[Session]:
    """The sessions of a user that have not expired."""
    return Session.objects.filter(user=user, expire_date__gt=timezone.now())


def delete_expired(before: datetime, batch: int) -> int:
    """Delete some sessions that expired before this time. Returns how many."""
    expired = Session.objects.filter(expire_date__lt=before).order_by("expire_date").values_list("pk", flat=True)
    return Session.objects.filter(pk__in=list(expired[:batch])).delete()[0]
