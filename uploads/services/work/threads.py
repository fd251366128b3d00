"""The threads of a worker, shared among stores: a request to a store that does not respond holds its thread.

A store has at most three times as many threads as are free, so that others find one at once: 6 of 8 while it is alone,
fewer while others are at work. A store whose last request timed out has one.

Work that finds no thread waits in this process and is enqueued again when a thread is free. If the process ends first,
the watchdog finds the work.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.tasks import TASKS, Task

TIMES_FREE = 3
"""A store may have this many threads for each free one."""

MAX_WAITING = 1000
"""Work that waits in this process. More of it is left to the watchdog."""

Work = tuple[str, str]
"""The name of a task, and the id of its row."""


@dataclass(slots=True)
class Shares:
    """Who has the `count` threads of a worker, by the ids of stores."""

    count: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: Counter[int] = field(default_factory=Counter)
    silent: set[int] = field(default_factory=set)
    waiting: dict[Work, int] = field(default_factory=dict)

    def take(self, store: int, work: Work, *, is_silent: bool) -> bool:
        """Take a thread for a store, or have the work wait for one."""
        with self.lock:
            (self.silent.add if is_silent else self.silent.discard)(store)
            if self._has_room(store):
                self.busy[store] += 1
                return True
            if len(self.waiting) < MAX_WAITING:
                self.waiting[work] = store
            return False

    def give_back(self, store: int) -> Work | None:
        """Return the thread. The work that waited longest of that which finds one now."""
        with self.lock:
            self.busy[store] -= 1
            next_work = next((work for work, owner in self.waiting.items() if self._has_room(owner)), None)
            if next_work is not None:
                del self.waiting[next_work]
            return next_work

    def _has_room(self, store: int) -> bool:
        has = self.busy[store]
        if store in self.silent:
            of_silent_stores = sum(self.busy[each] for each in self.silent)
            return has == 0 and of_silent_stores < max(1, self.count // 2)
        free = self.count - self.busy.total() - 1
        return has == 0 or has + 1 <= TIMES_FREE * free


class _Process:
    """The threads of this process, if it is a worker with threads."""

    shares: Shares | None = None


def share(count: int) -> None:
    """Share so many threads from now on."""
    _Process.shares = Shares(count)


@contextmanager
def thread_for(task: Task[Any], row_id: str) -> Iterator[bool]:
    """Whether the row's task may have this thread now. If not, it is enqueued again later."""
    shares, found = _Process.shares, None
    if shares is not None and task.store:
        found = task.kind.rows.filter(pk=row_id).values_list(f"{task.store}__pk", f"{task.store}__timeouts").first()
    if shares is None or found is None:
        yield True
        return
    store, timeouts = found
    if not shares.take(store, (task.name, row_id), is_silent=timeouts > 0):
        yield False
        return
    try:
        yield True
    finally:
        if (work := shares.give_back(store)) is not None:
            _enqueue(work)


def _enqueue(work: Work) -> None:
    name, row_id = work
    enqueue_on_commit(name, [row_id], queue=TASKS[name].queue(""))
