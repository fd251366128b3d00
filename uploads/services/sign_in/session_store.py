"""The SESSION_ENGINE: Django's sessions in the database, with an idle limit and an absolute limit.

Django renews a session only when it changes. Here, what operators do renews it (`sessions.keep`), up to the absolute
limit after the sign-in. And rows have a digest of the key: who reads the database cannot take over a session.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone

from uploads.database.prepared import First, Given
from uploads.models.session import Session

SIGNED_IN_AT = "signed_in_at"
"""In the session: when its user signed in, in seconds since 1970."""

ENDS_AT = "ends_at"
"""In the session, if something else limits it: when it ends at the latest."""

ANONYMOUS = timedelta(minutes=15)
"""How long a session without a user lasts: between the password and the second factor, or at another provider."""


_VALID = First(
    Session,
    lambda: Session.objects.filter(
        pk=Given(Session, "session_key"), expire_date__gt=Given(Session, "expire_date", "now")
    ),
)


def row_key(session_key: str | None) -> str:
    """The key of a session's row. The key itself is in the cookie only, and too random to be guessed from this."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()[:40]


class SessionStore(DatabaseStore):
    """`expires_at` is the time in the row that was loaded."""

    expires_at: datetime | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_session_from_db(self) -> Session | None:
        row = _VALID(session_key=row_key(self.session_key), now=timezone.now()) if self.session_key else None
        if row is None:
            self._session_key = None
        self.expires_at = row.expire_date if row else None
        return row

    def exists(self, session_key: str) -> bool:
        return super().exists(row_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(row_key(key))

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        user = data.get(SESSION_KEY)
        if user is not None:
            data.setdefault(SIGNED_IN_AT, time.time())
        return Session(
            session_key=row_key(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=self.expiry(),
            user_id=user,
            signed_in_at=_signed_in_at(data) if user is not None else None,
        )

    def expiry(self) -> datetime:
        """When the session expires if its operator does nothing from now on."""
        now = timezone.now()
        if SESSION_KEY not in self:
            return now + ANONYMOUS
        return min(now + timedelta(seconds=settings.SESSION_IDLE_SECONDS), self._absolute_limit())

    def get_expiry_age(self, **_: Any) -> int:
        """How long the browser keeps the cookie. The row is what ends an idle session."""
        if SESSION_KEY not in self:
            return int(ANONYMOUS.total_seconds())
        return max(0, int((self._absolute_limit() - timezone.now()).total_seconds()))

    def _absolute_limit(self) -> datetime:
        at = _signed_in_at({SIGNED_IN_AT: self.get(SIGNED_IN_AT, time.time())})
        limit = at + timedelta(seconds=settings.SESSION_MAX_SECONDS)
        return min(limit, datetime.fromtimestamp(self[ENDS_AT], UTC)) if ENDS_AT in self else limit


def _signed_in_at(data: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(data[SIGNED_IN_AT], UTC)
