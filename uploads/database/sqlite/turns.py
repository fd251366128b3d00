"""Turns of the threads of one process that write to the same database, in the order in which they ask.

SQLite has one writer at a time, and no queue: who waits looks again after a pause of up to 100 ms. Of many threads, the
unlucky ones wait until their timeout, with "database is locked", while others write again and again. With turns, a
process has one thread at a time that waits for the other processes.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque


class Turns:
    """A lock that is passed on in the order of the requests.

    Each thread that waits has a lock of its own, which is released when it is its turn: an Event takes longer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_taken = False

    def take(self, seconds: float) -> bool:
        """Wait at most so long. Returns whether it is this thread's turn."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        return turn.acquire(timeout=max(0.0, seconds)) or self._came_late(turn)

    def _came_late(self, turn: threading.Lock) -> bool:
        with self._lock:
            if not turn.locked():
                return True
            self._waiting.remove(turn)
            return False

    def give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False

    @property
    def waiting_threads(self) -> int:
        return len(self._waiting)


_turns: defaultdict[str, Turns] = defaultdict(Turns)
_lock = threading.Lock()


def turns_of(database: str) -> Turns:
    """The turns of a database, by its name."""
    with _lock:
        return _turns[database]


def _after_fork() -> None:
    """A child has none of the threads that hold or wait for a turn."""
    _turns.clear()
    if _lock.locked():
        _lock.release()


os.register_at_fork(after_in_child=_after_fork)
