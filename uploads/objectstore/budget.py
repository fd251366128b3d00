"""How long a page waits for stores: one budget of time for all of its requests.

The budget is in a context variable, so that it holds for everything a page calls, and without a parameter in every
function between the page and the socket. Workers have no budget: their requests end by the timeouts of the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class BudgetUsedUp(TimeoutError):
    """The page has no time left to wait for stores."""


class Budget:
    """The time in seconds that one page may wait for stores.

    Only waiting counts: a page that receives a file for an hour can still ask a store afterwards. `insists`: the page
    asks even a store that does not answer, because its operator wants to try it again.
    """

    def __init__(self, seconds: float, *, insists: bool = False) -> None:
        self.seconds = seconds
        self.insists = insists
        self._left = seconds
        self._until: float | None = None

    @property
    def left(self) -> float:
        """The seconds that are left; 0 if they are used up."""
        if self._until is None:
            return self._left
        return max(0.0, self._until - time.monotonic())

    @contextmanager
    def spending(self) -> Iterator[None]:
        """The time inside counts."""
        if self._until is not None:
            yield
            return
        self._until = time.monotonic() + self._left
        try:
            yield
        finally:
            self._left, self._until = self.left, None


_current: ContextVar[Budget | None] = ContextVar("budget of the page", default=None)


@contextmanager
def limited_to(budget: Budget) -> Iterator[None]:
    """All requests to stores inside share this budget."""
    token = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Budget | None:
    """The budget of the page that this thread renders; None outside a page."""
    return _current.get()


def bounded(seconds: float) -> float:
    """A timeout of at most these seconds that ends with the page's budget. Raises BudgetUsedUp."""
    budget = current()
    if budget is None:
        return seconds
    left = budget.left
    if left <= 0:
        raise BudgetUsedUp
    return min(seconds, left)
