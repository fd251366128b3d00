"""Leases: who may work on a row now. Only the holder of the token can write what came of the work."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

Row = TypeVar("Row", bound=Model)

LEASE_SECONDS = 120.0
"""Longer than the object store client's stall timeout: no lease runs out under a request that still lives."""

MAX_TRIES = 8
"""Failed tries of one piece of work before it rests as failed."""

BACKOFF_BASE_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 60.0


def in_seconds(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def deadline() -> datetime:
    return in_seconds(LEASE_SECONDS)


def free(now: datetime | None = None) -> Q:
    """Rows nobody holds."""
    return Q(lease_until__isnull=True) | Q(lease_until__lt=now or timezone.now())


def due(now: datetime | None = None) -> Q:
    """Rows that are not held back after a failed try."""
    return Q(not_before__isnull=True) | Q(not_before__lte=now or timezone.now())


def take(rows: QuerySet[Row], **changes: Any) -> uuid.UUID | None:
    """Take the lease of the one row of a filtered query, with `changes`. None where the filter found no row."""
    token = uuid.uuid4()
    taken = rows.update(lease_token=token, lease_until=deadline(), queued_at=None, **changes)
    return token if taken else None


RELEASED: dict[str, None] = {"lease_token": None, "lease_until": None, "queued_at": None}
"""Changes that end a lease."""


def backoff_seconds(tries: int) -> float:
    """Full jitter: anything from nothing to the exponential bound."""
    return random.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2**tries))  # noqa: S311 - spreads load, hides nothing
