"""Small files: one task sends all that wait on a node, a few at a time, and records them together.

Statements, transactions and messages are most of what a small file costs. So a task takes the leases of several files
with one statement, loads their rows together, sends each with PutObject and proves it by HEAD in a few threads, and
records those that are proved in one transaction. Each file keeps its own lease. A file that fails, or of which anything
is unclear, is left to the functions for one part. The threads change no row.

No file waits long for the others: after START_SECONDS, files that have not been started are returned.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from uploads import crash, logs
from uploads.domain.states import PartState
from uploads.models import Part
from uploads.models.transfer import parts_queue
from uploads.objectstore.types import SentBytes
from uploads.services.multipart.complete import CompletionOutcome
from uploads.services.staging import expected_sha256
from uploads.services.stores.clients import keeping_clients
from uploads.services.transfers.complete import prove_sent
from uploads.services.transfers.file_queue import SMALL_FILE, TASK, enqueue_rest
from uploads.services.transfers.interruption import Interrupted, LeaseRenewal, has_to_end, interruptible
from uploads.services.transfers.kinds import PARTS
from uploads.services.transfers.proved import ProvedFile, record_proved
from uploads.services.transfers.send import object_sent, send_bytes, send_part, settle
from uploads.services.work import leases, queue
from uploads.services.work.leases import Lease, due
from uploads.services.work.tasks import record_safely, recorded_together

log = logging.getLogger(__name__)

FILES = 32
BYTES = 32 * 1024**2
"""What one task takes."""

THREADS = 4
"""Files that are sent at the same time."""

START_SECONDS = 1.0
"""Files that still wait for a thread after this time are returned: another process may send them, or cancel them."""

RECORD_SECONDS = 0.5
"""The longest time that a file which is proved waits for others, to be recorded with them."""

STOP_SECONDS = 3.0
"""How long a process that has to end waits for the files that it is sending."""

TAKES = 3
"""How often a process looks for files that another one has taken first."""


STREAM_SECONDS = 1.0
"""If this process has sent others so short a time ago, files arrive one after the other. A task then waits for more."""


class _Last:
    ended = -STREAM_SECONDS
    left_some = False


def send_small_files(node: str) -> None:
    """Send files that wait on this node. Enqueues another task at once if more of them wait."""
    if not _Last.left_some and time.monotonic() - _Last.ended < STREAM_SECONDS:
        queue.linger(TASK, node, queue=parts_queue(node), enough=FILES)
    queue.woken(TASK, node)
    taken = _take()
    if not taken:
        return
    try:
        crash.point("files.taken")
        with keeping_clients():
            _Batch(taken).run()
    except Exception as error:
        log.exception("internal error while %s files were sent together", len(taken))
        for lease in taken:
            record_safely(lease, error)
    _Last.ended = time.monotonic()


def _waiting() -> QuerySet[Part]:
    # After a failed attempt, a file is sent alone: a file that ends its process each time would end that of others.
    return send_part.ready().filter(
        due(),
        state=PartState.STAGED,
        queued_at__isnull=False,
        size__lte=SMALL_FILE,
        tries=0,
        transfer__part_count=1,
    )


def _take() -> list[Lease[Part]]:
    for _ in range(TAKES):
        found = list(_waiting().order_by("queued_at").values_list("pk", "size")[: FILES + 1])
        if not found:
            break
        chosen = _chosen(found)
        _Last.left_some = len(found) > len(chosen)
        if _Last.left_some:
            enqueue_rest(settings.NODE_NAME, [found[len(chosen)][0]])
        if taken := leases.take_many(PARTS, send_part.ready(), chosen):
            return taken
    return []


def _chosen(found: Sequence[tuple[int, int]]) -> list[int]:
    chosen: list[int] = []
    total = 0
    for pk, size in found[:FILES]:
        total += size
        if chosen and total > BYTES:
            break
        chosen.append(pk)
    return chosen


class _Attempt:
    """One file that is being sent and proved, in a thread that changes no row."""

    def __init__(self, lease: Lease[Part]) -> None:
        self.lease = lease
        self.renewal = LeaseRenewal(lease)
        self.is_stopped = False
        self._outcome: CompletionOutcome | None = None
        self._response: SentBytes | None = None
        self._error: BaseException | None = None
        self._has_moved = False

    def run(self) -> None:
        part = self.lease.row
        try:
            with logs.about(**PARTS.facts(part)):
                self._response = send_bytes(part, None, self._count)
                self._has_moved = True
                self._outcome = prove_sent(part, self._response)
        except BaseException as error:
            self._error = error

    def response(self) -> SentBytes:
        """What the store returned to PutObject. Raises what the request has raised."""
        if self._response is not None:
            return self._response
        raise self._error or Interrupted

    def proved(self) -> ProvedFile | None:
        """The file, if it was sent and verified, and nothing else is to be said about it."""
        response, outcome, transfer = self._response, self._outcome, self.lease.row.transfer
        if response is None or outcome is None or not outcome.verified or outcome.trouble or outcome.head_error:
            return None
        if expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
            return None
        return ProvedFile(self.lease, response, outcome)

    def renew(self) -> None:
        """Renew the lease, if something has moved since. A file that is not to be sent any more is stopped."""
        if not self.renewal.is_due or not self._has_moved:
            return
        self._has_moved = False
        try:
            self.renewal.renew()
        except Interrupted:
            self.is_stopped = True

    def settle(self) -> None:
        """Record the outcome alone, whatever it is."""

        def settle_one(lease: Lease[Part]) -> None:
            settle(lease, None, self.response, self.renewal, object_sent)

        send_part.proceed(self.lease, work=settle_one)

    def _count(self, count: int) -> None:
        self.renewal.count(count)
        self._has_moved = True
        if self.is_stopped:
            raise Interrupted


class _Batch:
    """The files that one task has taken."""

    def __init__(self, taken: Sequence[Lease[Part]]) -> None:
        self._until = time.monotonic() + START_SECONDS
        self._waiting = deque(taken)
        self._running: set[_Attempt] = set()
        self._ended: SimpleQueue[_Attempt] = SimpleQueue()
        self._proved: dict[_Attempt, ProvedFile] = {}
        self._unclear: list[_Attempt] = []
        self._record_at = 0.0

    def run(self) -> None:
        try:
            while self._waiting or self._running:
                self._start_some()
                self._wait_for_one()
                if has_to_end():
                    raise Interrupted
                self._renew()
                if self._proved and time.monotonic() >= self._record_at:
                    self._record()
        except Interrupted:
            self._stop()
        self._record()
        # These may take long, because the store is asked again.
        for attempt in self._unclear:
            attempt.settle()

    def _start_some(self) -> None:
        while self._waiting and len(self._running) < THREADS:
            self._start(self._waiting.popleft())
        if self._waiting and time.monotonic() >= self._until:
            self._return_waiting()

    def _start(self, lease: Lease[Part]) -> None:
        if not lease.is_loaded or send_part.refusal(lease.row) is not None:
            # The task for one part says why.
            send_part.proceed(lease)
            return
        attempt = _Attempt(lease)
        self._running.add(attempt)
        _threads.submit(partial(copy_context().run, self._execute, attempt))

    def _execute(self, attempt: _Attempt) -> None:
        attempt.run()
        self._ended.put(attempt)

    def _wait_for_one(self) -> None:
        if not self._running:
            return
        with suppress(Empty):
            with interruptible():
                attempt = self._ended.get(timeout=RECORD_SECONDS)
            self._end(attempt)

    def _end(self, attempt: _Attempt) -> None:
        self._running.discard(attempt)
        proved = attempt.proved()
        if proved is None:
            self._unclear.append(attempt)
            return
        if not self._proved:
            self._record_at = time.monotonic() + RECORD_SECONDS
        self._proved[attempt] = proved

    def _renew(self) -> None:
        for attempt in (*self._running, *self._unclear):
            attempt.renew()

    def _record(self) -> None:
        """Record what was proved, together if that is possible."""
        proved, self._proved = self._proved, {}
        if not proved or _recorded([*proved.values()]):
            return
        for attempt, file in proved.items():
            if len(proved) == 1 or not _recorded([file]):
                attempt.settle()

    def _return_waiting(self) -> None:
        """Others may take these files: they are at the end of the line now."""
        returned, self._waiting = [*self._waiting], deque()
        ids = [lease.row.pk for lease in returned]
        rows = PARTS.rows.filter(pk__in=ids, lease_token=returned[0].token)
        leases.give_back(PARTS, rows, queued_at=timezone.now())
        enqueue_rest(settings.NODE_NAME, ids)

    def _stop(self) -> None:
        """The process has to end. What does not end in time is returned, as if it had not been sent."""
        if self._waiting:
            self._return_waiting()
        for attempt in self._running:
            attempt.is_stopped = True
        until = time.monotonic() + STOP_SECONDS
        while self._running and (left := until - time.monotonic()) > 0:
            with suppress(Empty):
                self._end(self._ended.get(timeout=left))
        for attempt in self._running:
            attempt.lease.release()


def _recorded(files: Sequence[ProvedFile]) -> bool:
    return recorded_together(PARTS, len(files), partial(record_proved, files))


class _Threads:
    """Threads that are kept for the files of all tasks of this process, because each keeps a buffer. They do not keep
    a process from ending.
    """

    def __init__(self) -> None:
        self._process = 0
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def submit(self, job: Callable[[], object]) -> None:
        if self._process != os.getpid():
            # A child has none of the threads of its parent.
            self._process, self._jobs = os.getpid(), SimpleQueue()
            for number in range(THREADS):
                Thread(target=self._work, args=[self._jobs], name=f"small-files-{number}", daemon=True).start()
        self._jobs.put(job)

    @staticmethod
    def _work(jobs: SimpleQueue[Callable[[], object]]) -> None:
        while True:
            jobs.get()()


_threads = _Threads()
