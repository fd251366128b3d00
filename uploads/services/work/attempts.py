"""When work that failed is attempted again, and when it is given up."""

from __future__ import annotations

import random
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from uploads import database, metrics
from uploads.models.work import WorkFields
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.problems import Code
from uploads.services.work.leases import in_seconds

MAX_ATTEMPTS = 8
"""Failed attempts of one kind in a row, of those that more attempts would not help, before a row fails for good."""

GIVE_UP = timedelta(hours=24)
"""How long work is attempted that only has to wait: for a store that is unreachable or fails, or for an operator."""

FULL_GIVE_UP = timedelta(hours=1)
"""How long work is attempted while the store is full. Afterwards an operator has to decide; no byte is lost."""

WAITS_FOR_OPERATOR = frozenset(
    {Reason.CREDENTIALS_EXPIRED, Reason.SECRET_UNREADABLE, Reason.ADDRESS_REFUSED, Reason.CLOCK_SKEW}
)

COUNTED = frozenset({Reason.DIGEST_MISMATCH, Reason.UNREADABLE_RESPONSE, Code.INTERNAL_ERROR, Code.WORKER_LOST})
"""Reasons of failures that are counted: data is corrupted on its way, or this program has a bug or is killed by it."""

WAITING = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.TIMEOUT,
        Reason.CONNECTION_LOST,
        Reason.THROTTLED,
        Reason.STORE_FAULT,
        Reason.STORE_FULL,
        *WAITS_FOR_OPERATOR,
    }
)
"""Reasons of failures after which work only has to wait. With Retry.PATIENT all others are counted."""

TRANSIENT = (OperationalError, InterfaceError)
"""Errors of a database that is locked or restarts: neither corruption nor a bug."""

BACKOFF_BASE_SECONDS = 1.0
BACKOFF_CAP_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 300.0


class WorkerLost(Exception):
    """The worker let its lease expire: it was killed, ran out of memory, or is cut off from the database."""


class Retry(StrEnum):
    """Whether a failed task is attempted again. PATIENT: also after an error that usually does not pass, as the store
    has acted already, and only a usable response is missing.
    """

    NEVER = "never"
    LIMITED = "limited"
    PATIENT = "patient"
    FOREVER = "forever"


def next_attempt(row: WorkFields, error: Exception, retry: Retry = Retry.LIMITED) -> dict[str, Any] | None:
    """The columns that defer a row whose work failed; None if it fails for good."""
    now, since = timezone.now(), row.failing_since or timezone.now()
    attempts = row.tries + 1
    if _is_counted(error, retry) and not _was_counted(row, retry):
        # The attempts until now only waited, for example for a store that was unreachable.
        attempts = 1
    is_limited = retry in (Retry.LIMITED, Retry.PATIENT)
    if retry is Retry.NEVER or (is_limited and not _is_worthwhile(error, retry, attempts, now - since)):
        return None
    metrics.work_deferred(reason_of(error))
    wait = max(backoff_seconds(attempts), _requested_wait(error))
    return {"not_before": in_seconds(wait), "tries": attempts, "failing_since": since}


def reason_of(error: Exception) -> str:
    if isinstance(error, ObjectStoreError):
        return error.reason.value
    return own_code(error).value


def own_code(error: Exception) -> Code:
    """Our code for an exception that is not an error of the store."""
    if database.is_unavailable(error):
        return database.code_of(error)
    return Code.WORKER_LOST if isinstance(error, WorkerLost) else Code.INTERNAL_ERROR


def _is_counted(error: Exception, retry: Retry) -> bool:
    if isinstance(error, TRANSIENT) or database.is_unavailable(error):
        return False
    return reason_of(error) in COUNTED or (retry is Retry.PATIENT and reason_of(error) not in WAITING)


def _was_counted(row: WorkFields, retry: Retry) -> bool:
    """Whether the row's last failure was counted."""
    if retry is Retry.PATIENT:
        return bool(row.error_reason) and row.error_reason not in WAITING
    return row.error_reason in COUNTED


def _is_worthwhile(error: Exception, retry: Retry, attempts: int, failing_for: timedelta) -> bool:
    if _is_counted(error, retry):
        # Time says nothing about these: the machine may have been off for days.
        return attempts < MAX_ATTEMPTS
    if reason_of(error) == Reason.STORE_FULL:
        return failing_for < FULL_GIVE_UP
    may_succeed = not isinstance(error, ObjectStoreError) or error.retryable or error.reason in WAITS_FOR_OPERATOR
    return (may_succeed or retry is Retry.PATIENT) and failing_for < GIVE_UP


def _requested_wait(error: Exception) -> float:
    """Seconds of the store's Retry-After, within bounds."""
    requested = error.retry_after if isinstance(error, Refused) else None
    return min(requested or 0.0, LONGEST_RETRY_AFTER_SECONDS)


def backoff_seconds(attempts: int) -> float:
    """Full jitter: a random time between zero and the exponential bound."""
    return random.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(attempts, 20)))  # noqa: S311 - spreads load, hides nothing
