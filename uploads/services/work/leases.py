"""Leases: who may work on a row now. Only the holder of the token can write what came of the work."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from uploads import metrics
from uploads.models import OperationItem, Part, Transfer
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused

Row = TypeVar("Row", bound=Model)

MAX_TRIES = 8
"""Failed tries of work that something corrupts, before it rests as failed: more of the same would not help."""

GIVE_UP = timedelta(hours=24)
"""How long work is tried again that only has to wait: for a store that is away, slow or failing, or for somebody."""

WAITS_FOR_SOMEBODY = frozenset({Reason.CREDENTIALS_EXPIRED, Reason.CLOCK_SKEW})
CORRUPTED = frozenset({Reason.DIGEST_MISMATCH, Reason.UNREADABLE_RESPONSE})

BACKOFF_BASE_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 300.0


def in_seconds(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def deadline() -> datetime:
    """Longer than the store may stall (settings see to that): no lease runs out under a request that still lives."""
    return in_seconds(settings.LEASE_SECONDS)


def free(now: datetime | None = None) -> Q:
    """Rows nobody holds."""
    return Q(lease_until__isnull=True) | Q(lease_until__lt=now or timezone.now())


def due(now: datetime | None = None) -> Q:
    """Rows that are not held back after a failed try."""
    return Q(not_before__isnull=True) | Q(not_before__lte=now or timezone.now())


def take(rows: QuerySet[Row], **changes: Any) -> uuid.UUID | None:
    """Take the lease of the one row of a filtered query, with `changes`. None where the filter found no row.

    What others' rows must be like goes into the filter as a subquery (`transfer__in`), never as a join: Django has an
    UPDATE find the rows of a join in a subquery of their own, which PostgreSQL does not look at again once another's
    UPDATE has let go of the row. Two would take it.
    """
    token = uuid.uuid4()
    taken = rows.update(lease_token=token, lease_until=deadline(), queued_at=None, **changes)
    return token if taken else None


def tried_again(row: Transfer | Part | OperationItem, error: ObjectStoreError) -> dict[str, Any] | None:
    """What to write to a row whose work failed and is tried again later; None where it rests as failed."""
    tries, now = row.tries + 1, timezone.now()
    since = row.failing_since or now
    if error.reason in CORRUPTED:
        # Tries that only waited, for a store that was away, say nothing of corruption.
        tries = tries if _was_corrupted(row) else 1
        may_pass = tries < MAX_TRIES
    else:
        may_pass = error.retryable or error.reason in WAITS_FOR_SOMEBODY
    if not may_pass or now - since >= GIVE_UP:
        return None
    held = {**RELEASED, "not_before": in_seconds(max(backoff_seconds(tries), _asked_to_wait(error)))}
    metrics.work_tried_again(error)
    return {**held, "tries": tries, "failing_since": since}


def _was_corrupted(row: Transfer | Part | OperationItem) -> bool:
    """Whether the last failure that was written down is of that kind."""
    return row.error_reason in CORRUPTED


def _asked_to_wait(error: ObjectStoreError) -> float:
    """Seconds of the store's Retry-After, within bounds."""
    asked = error.retry_after if isinstance(error, Refused) else None
    return min(asked or 0.0, LONGEST_RETRY_AFTER_SECONDS)


SUCCEEDED: dict[str, Any] = {"tries": 0, "failing_since": None, "not_before": None}
"""Changes that forget failed tries."""

RELEASED: dict[str, Any] = {"lease_token": None, "lease_until": None, "queued_at": None}
"""Changes that end a lease."""


def backoff_seconds(tries: int) -> float:
    """Full jitter: anything from nothing to the exponential bound."""
    return random.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(tries, 20)))  # noqa: S311 - spreads load, hides nothing
