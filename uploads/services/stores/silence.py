"""Stores that do not answer.

Every request to a store is watched. After LIMIT timeouts in a row, of pages or of workers, the store is recorded as not
answering, and pages respond at once instead of waiting for it. Any response, even an error, ends that. Until then the
watchdog has the store tried again, and an operator can.

Work in the queue is not affected: it keeps its own attempts and pauses.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import Error as DatabaseError
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads import metrics
from uploads.models import Store
from uploads.models.store import TIMEOUTS_OF_SILENCE
from uploads.objectstore import budget
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused, UnreadableResponse
from uploads.problems import Code, Problem, RecordedError
from uploads.services.work.failures import NO_ERROR, error_fields

log = logging.getLogger(__name__)

TRY_EVERY = timedelta(seconds=30)
"""How often a store that does not answer is tried in the background."""

MAX_TRIES = 2
"""Stores that one round of the watchdog has tried. Each occupies a thread of the worker until its timeout."""

ANSWERING = {"timeouts": 0, "silent_since": None, "tried_at": None, **NO_ERROR}
"""The columns of a store that answers."""


class NotAnswering(NotSent):
    """The store did not answer the last requests, so this one was not sent. `last_error` is that of the last one."""

    def __init__(self, since: datetime, last_error: RecordedError | None) -> None:
        problem = Problem(Code.STORE_NOT_ANSWERING, since_at=since.isoformat())
        super().__init__(problem, reason=Reason.STORE_NOT_ANSWERING, retryable=True)
        self.details = list(last_error.details) if last_error else []
        self.since = since
        self.last_error = last_error
        self.retry_after = TRY_EVERY.total_seconds()


_seen_timeouts: dict[int, int] = {}
"""The timeouts in a row by store, as this process knows them, so that a success writes only if there is a change."""


def look_at(store: Store) -> None:
    """Before a request: note what the row says. Raises NotAnswering if a page would only wait for the store."""
    _seen_timeouts[store.pk] = store.timeouts
    page = budget.current()
    since = store.not_answering_since
    if since is not None and page is not None and not page.insists:
        raise NotAnswering(since, store.error)


class StoreWatch(metrics.StoreObserver):
    """Notes for each request whether the store answered, in the metrics and in the store's row."""

    def __init__(self, store: Store) -> None:
        self._pk = store.pk
        self._name = store.name

    def requested(self, operation: str, seconds: float, error: ObjectStoreError | None) -> None:
        super().requested(operation, seconds, error)
        try:
            self._note(error)
        except DatabaseError as failure:
            # The caller gets the response of the store all the same, and the next request is noted again.
            log.warning("whether the store %s answers could not be noted: %s", self._name, failure)

    def _note(self, error: ObjectStoreError | None) -> None:
        if error is None or isinstance(error, Refused | UnreadableResponse):
            self._answered()
        elif error.timed_out:
            self._timed_out(error)
        elif _seen_timeouts.get(self._pk):
            Store.objects.filter(pk=self._pk, timeouts__gt=0).update(**error_fields(error))

    def _answered(self) -> None:
        if not _seen_timeouts.get(self._pk):
            return
        _seen_timeouts[self._pk] = 0
        if Store.objects.filter(pk=self._pk, timeouts__gte=TIMEOUTS_OF_SILENCE).update(**ANSWERING):
            log.info("the store %s answers again", self._name)
        else:
            Store.objects.filter(pk=self._pk, timeouts__gt=0).update(**ANSWERING)

    def _timed_out(self, error: ObjectStoreError) -> None:
        _seen_timeouts[self._pk] = _seen_timeouts.get(self._pk, 0) + 1
        since = Coalesce("silent_since", timezone.now())
        Store.objects.filter(pk=self._pk).update(timeouts=F("timeouts") + 1, silent_since=since, **error_fields(error))
        if _seen_timeouts[self._pk] == TIMEOUTS_OF_SILENCE:
            log.warning("the store %s does not answer: %s", self._name, error)


def claim_tries() -> list[int]:
    """The stores to try now; each of them is claimed, so that two watchdogs do not both have it tried."""
    due = Q(tried_at=None) | Q(tried_at__lt=timezone.now() - TRY_EVERY)
    silent = Store.objects.filter(due, timeouts__gte=TIMEOUTS_OF_SILENCE)
    first = silent.order_by(F("tried_at").asc(nulls_first=True)).values_list("pk", flat=True)[:MAX_TRIES]
    return [pk for pk in list(first) if silent.filter(pk=pk).update(tried_at=timezone.now())]
