"""How many requests this process handles at the same time that need much: of all users together, and of each user."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from uploads.problems import Code, Problem, ProblemError


class NoSlot(ProblemError):
    """This process handles as many of these requests as it may. `of_user`: as many as the user may have.

    `retry_after` is in seconds.
    """

    def __init__(self, problem: Problem, *, of_user: bool, retry_after: int) -> None:
        super().__init__(problem)
        self.of_user = of_user
        self.retry_after = retry_after


class Slots:
    """At most `total` at a time, and at most `each` for each user."""

    def __init__(self, total: int, each: int, *, busy: Code, user_busy: Code, retry_after: int) -> None:
        self.total = total
        self.each = min(total, each)
        self._busy, self._user_busy = busy, user_busy
        self._retry_after = retry_after
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    @contextmanager
    def taken_by(self, user_id: int) -> Iterator[None]:
        """Occupy one of the slots. Raises NoSlot at once if none is free."""
        self._take(user_id)
        try:
            yield
        finally:
            self._give(user_id)

    def _take(self, user_id: int) -> None:
        with self._lock:
            if self._taken.total() >= self.total:
                raise NoSlot(Problem(self._busy), of_user=False, retry_after=self._retry_after)
            if self._taken[user_id] >= self.each:
                problem = Problem(self._user_busy, count=self.each)
                raise NoSlot(problem, of_user=True, retry_after=self._retry_after)
            self._taken[user_id] += 1

    def _give(self, user_id: int) -> None:
        with self._lock:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]


receiving = Slots(
    settings.RECEIVE_SLOTS,
    settings.USER_RECEIVE_SLOTS,
    busy=Code.RECEIVE_SLOTS_BUSY,
    user_busy=Code.USER_RECEIVING,
    retry_after=3,
)
"""Bodies with bytes of files. The other threads serve pages."""

creating = Slots(
    settings.CREATE_SLOTS,
    settings.USER_CREATE_SLOTS,
    busy=Code.CREATE_SLOTS_BUSY,
    user_busy=Code.USER_CREATING,
    retry_after=1,
)
"""New transfers: each looks at its store and writes to the database."""
