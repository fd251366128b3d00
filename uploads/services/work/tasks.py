"""Running leased work: the one place where a failure, foreseen or not, is recorded and deferred."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import Error as DatabaseError
from django.db.models import QuerySet
from django.utils import timezone

from uploads import database, logs
from uploads.models.work import WorkFields
from uploads.objectstore.errors import ObjectStoreError
from uploads.problems import Problem
from uploads.services.work import leases
from uploads.services.work.attempts import TRANSIENT, Retry, WorkerLost, next_attempt, own_code
from uploads.services.work.failures import error_fields, problem_fields
from uploads.services.work.leases import Kind, Lease, LeaseLost, Row, Take

log = logging.getLogger(__name__)

Id = TypeVar("Id")

OPERATIONS_QUEUE = "partway"
"""The queue of work that needs no staged bytes: any node may do it."""

WATCH_QUEUE = "partway.watch"
"""The queue of the watchdog, which has a worker of its own, so that nothing waits for a round."""


SCAN_QUEUE = "partway.scan"
"""The queue of scans, which has workers of its own, so that no operator's request waits for one."""


def any_node(_node: str) -> str:
    return OPERATIONS_QUEUE


def scanners(_node: str) -> str:
    return SCAN_QUEUE


def never_refused(_row: WorkFields) -> None:
    """Work that Partway does by itself, or that nobody has to be allowed to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[Row]):
    """Work on one row of a kind; call it with the row's id.

    `ready` are the rows that the task may take, and `queue` names the queue for the rows of a node. `refusal` says why
    the work is not done any more although it was requested: its row then ends with this problem. `store` is the path of
    lookups from the row to its store, if the stores of such rows share the threads of a worker (`threads`). `take`
    takes the rows that are ready with a statement that is built once.
    """

    name: str
    kind: Kind[Row]
    ready: Callable[[], QuerySet[Row]]
    work: Callable[[Lease[Row]], None]
    queue: Callable[[str], str] = any_node
    retry: Retry = Retry.LIMITED
    refusal: Callable[[Row], Problem | None] = never_refused
    store: str = ""
    take: Take[Row] | None = None

    def __call__(self, row_id: object) -> None:
        """Take the row's lease and do the work. Does nothing if the row is not ready or another worker has it."""
        lease = self.take(row_id) if self.take else leases.take(self.kind, self.ready(), row_id)
        if lease is not None:
            self.proceed(lease)

    def proceed(
        self,
        lease: Lease[Row],
        first: Callable[[], object] = lambda: None,
        work: Callable[[Lease[Row]], None] | None = None,
    ) -> None:
        """Do the work under a lease that is held. A failure of `first`, which is called before, is one of the work.

        `work` replaces the function of the task, where a part of it is done already.
        """
        with logs.about(**self.kind.facts(lease.row)):
            self._run(lease, first, work or self.work)

    def _run(self, lease: Lease[Row], first: Callable[[], object], work: Callable[[Lease[Row]], None]) -> None:
        try:
            first()
            loaded = lease.load()
            refusal = self.refusal(loaded.row)
            if refusal is not None:
                log.warning("%s %s: %s", self.kind.name, lease.row.pk, refusal)
                self.kind.give_up(loaded, problem_fields(refusal))
            else:
                work(loaded)
        except LeaseLost:
            log.warning("%s %s: the lease was lost", self.kind.name, lease.row.pk)
        except ObjectStoreError as error:
            log.warning("%s %s: %s", self.kind.name, lease.row.pk, error)
            record_safely(lease, error, self.retry)
        except Exception as error:
            if database.is_unavailable(error):
                log.warning("%s %s: the database failed in %s: %s", self.kind.name, lease.row.pk, self.name, error)
            else:
                log.exception("%s %s: internal error in %s", self.kind.name, lease.row.pk, self.name)
            record_safely(lease, error, self.retry)


TASKS: dict[str, Task[Any]] = {}


def task(
    kind: Kind[Row],
    ready: Callable[[], QuerySet[Row]],
    *,
    queue: Callable[[str], str] = any_node,
    retry: Retry = Retry.LIMITED,
    refusal: Callable[[Row], Problem | None] = never_refused,
    store: str = "",
    take: Take[Row] | None = None,
) -> Callable[[Callable[[Lease[Row]], None]], Task[Row]]:
    """Declare a function of a lease as a task of the same name."""

    def declare(work: Callable[[Lease[Row]], None]) -> Task[Row]:
        name = work.__name__
        declared = Task(
            name=name,
            kind=kind,
            ready=ready,
            work=work,
            queue=queue,
            retry=retry,
            refusal=refusal,
            store=store,
            take=take,
        )
        TASKS[declared.name] = declared
        return declared

    return declare


def record_failure(
    lease: Lease[Row], error: Exception, retry: Retry = Retry.LIMITED, fields: dict[str, Any] | None = None
) -> None:
    """Defer the row, or fail it for good. Does nothing once the lease has ended or was lost."""
    fields = fields or failure_fields(error)
    attempt = next_attempt(lease.row, error, retry)
    if attempt is None:
        lease.kind.give_up(lease, fields)
    elif lease.release(**attempt, **fields):
        lease.kind.resume(lease.row, max(0.0, (attempt["not_before"] - timezone.now()).total_seconds()))


def record_safely(lease: Lease[Row], error: Exception, retry: Retry = Retry.LIMITED) -> None:
    """As `record_failure`. A failure that cannot be recorded is an internal error itself, recorded in its place.

    If the end of the row cannot be written either, a single UPDATE defers the row.
    """
    for _ in range(2):
        try:
            _record_when_possible(lease, error, retry)
        except Exception as failure:
            log.exception("%s %s: internal error while recording a failure", lease.kind.name, lease.row.pk)
            error = failure
        else:
            return
    _record_when_possible(lease, error, Retry.FOREVER)


RECORD_SECONDS = 1.0
"""The time between two attempts to record a failure while the database accepts no changes."""


def _record_when_possible(lease: Lease[Row], error: Exception, retry: Retry) -> None:
    """A worker waits until a full disk of the database has space again. Otherwise its lease would expire, and the work
    would count as an attempt that has killed its worker.
    """
    while True:
        try:
            record_failure(lease, error, retry)
        except DatabaseError as failure:
            if not database.is_unavailable(failure) or not database.pause(RECORD_SECONDS):
                raise
        else:
            return


def recorded_together(kind: Kind[Any], count: int, write: Callable[[], bool]) -> bool:
    """Whether `write` has written the results of several rows. If not, each row has to record its own result."""
    try:
        return write()
    except Exception as error:
        if database.is_unavailable(error):
            log.warning("%s: %s results were not recorded together, the database failed: %s", kind.name, count, error)
        else:
            log.exception("%s: internal error while %s results were recorded together", kind.name, count)
        return False


def record_worker_lost(lease: Lease[Any]) -> None:
    """Count the loss of a worker as a failed attempt: work that kills its worker each time must not run for ever."""
    log.warning("%s %s: its worker was lost", lease.kind.name, lease.row.pk)
    record_safely(lease, WorkerLost())


def failure_fields(error: Exception) -> dict[str, Any]:
    if isinstance(error, ObjectStoreError):
        return error_fields(error)
    return problem_fields(Problem(own_code(error)))


def guard(kind: Kind[Row], rows: QuerySet[Row], dispatch: Callable[[], None]) -> None:
    """Dispatch `rows`. An exception counts as a failed attempt of each of them, and does not stop the caller."""
    try:
        dispatch()
    except TRANSIENT as error:
        log.warning("%s: the database failed while work was dispatched: %s", kind.name, error)
    except Exception as error:
        log.exception("%s: internal error while work was dispatched", kind.name)
        for pk in list(rows.values_list("pk", flat=True)):
            lease = leases.take(kind, rows, pk)
            if lease is not None:
                record_safely(lease, error)


BATCH = 200
"""Rows that are dispatched in one transaction, which holds their locks."""


def dispatch_batches(ids: Sequence[Id], dispatch: Callable[[Sequence[Id]], None], one: Callable[[Id], None]) -> int:
    """Dispatch rows in batches, and those of a batch that fails one by one. Returns how many there were."""
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        try:
            dispatch(batch)
        except TRANSIENT as error:
            log.warning("the database failed while work was dispatched: %s", error)
        except Exception:
            # Each row that fails counts the attempt, and the others of the batch are dispatched.
            for each in batch:
                one(each)
    return len(ids)
