"""A condition that wakes the thread that began to wait last.

Python's wakes the thread that has waited longest, so that all threads of a quiet server take turns. Each has a
connection to the database with its caches, about 1 MiB with SQLite, and a quiet server would need as much memory as a
busy one.
"""

from __future__ import annotations

import threading


class NewestFirst:
    """What a `queue.Queue` needs of its condition `not_empty`: all methods are called under the lock."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: list[threading.Event] = []

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait without the lock until this thread is woken. False if that took too long."""
        turn = threading.Event()
        self._waiting.append(turn)
        self._lock.release()
        try:
            turn.wait(timeout)
        finally:
            self._lock.acquire()
            if not turn.is_set():
                self._waiting.remove(turn)
        return turn.is_set()

    def notify(self) -> None:
        if self._waiting:
            self._waiting.pop().set()
