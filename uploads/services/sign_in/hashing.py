"""Hashing passwords in a bounded number of threads.

A hash takes a large part of a second on one core. Without a bound, 80 people who sign in at the same time, or one who
guesses, occupy all cores and all threads of the web server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from uploads.problems import Code, Problem, ProblemError

RETRY_SECONDS = 5
"""After how many seconds a refused request may try again."""


class HashingBusy(ProblemError):
    """Too many requests wait for the hash of a password."""


class Places:
    """`at_once` threads are inside, `waiting` more wait, and others are refused. A thread may enter again."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._inside = threading.BoundedSemaphore(at_once)
        self._admitted = threading.BoundedSemaphore(at_once + waiting)
        self._thread = threading.local()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place. Raises HashingBusy at once if too many wait."""
        if getattr(self._thread, "is_inside", False):
            yield
            return
        if not self._admitted.acquire(blocking=False):
            raise HashingBusy(Problem(Code.SIGN_IN_BUSY))
        try:
            with self._inside:
                self._thread.is_inside = True
                try:
                    yield
                finally:
                    self._thread.is_inside = False
        finally:
            self._admitted.release()


places = Places(settings.PASSWORD_THREADS, settings.PASSWORD_WAITING)
"""Those of this process."""


class BoundedPBKDF2(PBKDF2PasswordHasher):
    """Django's default, with the same algorithm and the same hashes. Every hash needs a place, whoever asks for it."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with places.place():
            return super().encode(password, salt, iterations)
