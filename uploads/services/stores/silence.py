"""Stores that do not answer: pages do not wait for them.

After TIMEOUTS_OF_SILENCE timeouts in a row, of pages or of workers, a store is recorded as not answering (`health`),
and pages respond at once instead of waiting for it. Any response, even an error, ends that. Until then it is tried in
the background, and an operator can have it tried.

Work in the queue is not affected: it keeps its own attempts and pauses.
"""

from __future__ import annotations

from datetime import datetime

from uploads.models import Store
from uploads.objectstore import budget
from uploads.objectstore.errors import NotSent, Reason
from uploads.problems import Code, Problem, RecordedError
from uploads.services.stores.health import remember
from uploads.services.stores.tries import TRY_EVERY, claim_tries

__all__ = ["NotAnswering", "claim_tries", "look_at"]


class NotAnswering(NotSent):
    """The store did not answer the last requests, so this one was not sent. `last_error` is that of the last one."""

    def __init__(self, since: datetime, last_error: RecordedError | None) -> None:
        problem = Problem(Code.STORE_NOT_ANSWERING, since_at=since.isoformat())
        super().__init__(problem, reason=Reason.STORE_NOT_ANSWERING, retryable=True)
        self.details = list(last_error.details) if last_error else []
        self.since = since
        self.last_error = last_error
        self.retry_after = TRY_EVERY.total_seconds()


def look_at(store: Store) -> None:
    """Before a request: note what the row says. Raises NotAnswering if a page would only wait for the store."""
    remember(store)
    page = budget.current()
    since = store.not_answering_since
    if since is not None and page is not None and not page.insists:
        raise NotAnswering(since, store.error)
