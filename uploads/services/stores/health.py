"""The health of stores: known from the outcomes of all requests, of pages and workers, without requests of its own.

A store is recorded as failing after LIMIT failures in a row, over FAILS_FOR at least. A request that names a bucket can
only raise a suspicion, because its failure may concern this bucket alone: a suspected store is tried in the background
within half a minute, with a request that names none, and that one decides. Any success ends both.

The row is written only when something changes, and at most every few minutes to note that the store is in use, so that
stores that nobody uses are found and tried.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads import metrics
from uploads.domain.store_health import (
    FAILING,
    LIMIT,
    WITHOUT_RESPONSE,
    StoreHealth,
    has_responded,
    health_after,
    is_store_wide,
)
from uploads.models import Store
from uploads.models.store import TIMEOUTS_OF_SILENCE
from uploads.objectstore.errors import ObjectStoreError
from uploads.services.work.failures import NO_ERROR, error_code, error_fields

log = logging.getLogger(__name__)

LONGEST_NOTE = timedelta(minutes=5)

FAILS_FOR = timedelta(seconds=10)
"""How long failures have to last before a store counts as failing: a page sends several requests in a second."""

NO_FAILURE: dict[str, Any] = {
    "timeouts": 0,
    "silent_since": None,
    "failures": 0,
    "failing_since": None,
    "tried_at": None,
    **NO_ERROR,
}
"""The columns of a store without failures."""

NEVER_TRIED: dict[str, Any] = {
    **NO_FAILURE,
    "health": StoreHealth.NEVER_TRIED.value,
    "health_since": None,
    "heard_at": None,
}
"""The columns of a store of which nothing is known, because it or its settings are new."""


@dataclass(slots=True)
class _Seen:
    """What this process knows of a store's row, so that a request writes only what changes it."""

    health: StoreHealth = StoreHealth.NEVER_TRIED
    failures: int = 0
    timeouts: int = 0
    code: str = ""
    heard_at: datetime | None = None


_seen: dict[int, _Seen] = {}


def remember(store: Store) -> None:
    """Note what the row says before a request."""
    health = StoreHealth(store.health)
    _seen[store.pk] = _Seen(health, store.failures, store.timeouts, store.error_code, store.heard_at)


class StoreWatch(metrics.StoreObserver):
    """Notes the outcome of each request, in the metrics and in the store's row."""

    def __init__(self, store: Store) -> None:
        self._pk = store.pk
        self._name = store.name
        self._rows = Store.objects.filter(pk=store.pk)

    def requested(self, operation: str, seconds: float, error: ObjectStoreError | None) -> None:
        super().requested(operation, seconds, error)
        try:
            self._note(operation, error)
        except DatabaseError as failure:
            # The caller gets the response of the store all the same, and the next request is noted again.
            log.warning("the health of the store %s could not be noted: %s", self._name, failure)

    def _note(self, operation: str, error: ObjectStoreError | None) -> None:
        seen = _seen.setdefault(self._pk, _Seen())
        found = health_after(error)
        was_without_response = bool(seen.timeouts) or seen.health in WITHOUT_RESPONSE
        if found is StoreHealth.ANSWERS or (was_without_response and has_responded(error)):
            self._answers(seen)
        elif error is not None and found is StoreHealth.NOT_ANSWERING:
            self._timed_out(seen, error)
        elif error is not None and found is not None:
            self._failed(seen, found, error, store_wide=is_store_wide(operation))

    def _answers(self, seen: _Seen) -> None:
        now = timezone.now()
        is_new = seen.health is not StoreHealth.ANSWERS or seen.failures or seen.timeouts
        if not is_new and not _is_old(seen.heard_at, now):
            return
        if is_new:
            since = Case(When(health=StoreHealth.ANSWERS, then=F("health_since")), default=Value(now))
            answers = {"health": StoreHealth.ANSWERS.value, "health_since": since, "heard_at": now}
            if seen.health in FAILING or seen.timeouts >= TIMEOUTS_OF_SILENCE:
                log.info("the store %s answers again", self._name)
            self._rows.update(**NO_FAILURE, **answers)
        else:
            self._rows.update(heard_at=now)
        _seen[self._pk] = _Seen(StoreHealth.ANSWERS, heard_at=now)

    def _timed_out(self, seen: _Seen, error: ObjectStoreError) -> None:
        seen.timeouts += 1
        since = Coalesce("silent_since", timezone.now())
        self._rows.update(timeouts=F("timeouts") + 1, silent_since=since, **error_fields(error))
        if seen.timeouts == TIMEOUTS_OF_SILENCE:
            log.warning("the store %s does not answer: %s", self._name, error)

    def _failed(self, seen: _Seen, found: StoreHealth, error: ObjectStoreError, *, store_wide: bool) -> None:
        if seen.timeouts >= TIMEOUTS_OF_SILENCE:
            # It does not answer: this is the newest error.
            self._rows.filter(timeouts__gt=0).update(**error_fields(error))
        elif seen.health in FAILING:
            self._still_fails(seen, found, error, store_wide=store_wide)
        else:
            self._suspect(seen, found, error, store_wide=store_wide)

    def _still_fails(self, seen: _Seen, found: StoreHealth, error: ObjectStoreError, *, store_wide: bool) -> None:
        now = timezone.now()
        if not store_wide:
            return
        if found is not seen.health:
            self._rows.update(health=found.value, health_since=now, heard_at=now, **error_fields(error))
        elif error_code(error) != seen.code or _is_old(seen.heard_at, now):
            self._rows.update(heard_at=now, **error_fields(error))
        seen.health, seen.code, seen.heard_at = found, error_code(error), now

    def _suspect(self, seen: _Seen, found: StoreHealth, error: ObjectStoreError, *, store_wide: bool) -> None:
        now = timezone.now()
        most = LIMIT if store_wide else LIMIT - 1
        if seen.failures < most:
            since = Coalesce("failing_since", now)
            counted = self._rows.filter(failures__lt=most)
            counted.update(failures=F("failures") + 1, failing_since=since, **error_fields(error))
            seen.failures += 1
        if not store_wide:
            return
        certain = self._rows.filter(failures__gte=LIMIT, failing_since__lte=now - FAILS_FOR)
        failing = {"health": found.value, "health_since": F("failing_since"), "heard_at": now}
        if certain.update(**failing, **error_fields(error)):
            seen.health, seen.code, seen.heard_at = found, error_code(error), now
            log.warning("the store %s fails (%s): %s", self._name, found.value, error)


def _is_old(heard_at: datetime | None, now: datetime) -> bool:
    """Whether it has to be noted again that the store is in use."""
    every = probe_every()
    return heard_at is None or now - heard_at > (every / 2 if every else LONGEST_NOTE)


def probe_every() -> timedelta | None:
    """How often a store is tried that nobody uses; None: not at all."""
    seconds = settings.STORE_PROBE_SECONDS
    return timedelta(seconds=seconds) if seconds else None
