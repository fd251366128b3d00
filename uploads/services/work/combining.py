"""One thread does what several ask for at the same time, such as one transaction for the rows of all of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Asked(Generic[Item]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_over = False
        self.succeeded = False
        self.turn = threading.Lock()
        """Released when the item is done, or when its thread is to act. An Event takes longer."""
        self.turn.acquire()


class Combiner(Generic[Item]):
    """Calls `act` with the items of all threads that have asked while it was called before, with `most` at a time.

    The first thread acts at once, so that an item that comes alone does not wait.
    """

    def __init__(self, act: Callable[[Sequence[Item]], None], most: int) -> None:
        self._act = act
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Asked[Item]] = deque()
        self._is_acting = False

    def do(self, item: Item) -> bool:
        """Have `act` called with this item and others, in this thread or in another one.

        False if that has failed: what was done is unknown, and the caller repeats it for its own item, whose failure
        concerns no other. Raises what `act` raises if the item was the only one.
        """
        asked = _Asked(item)
        with self._lock:
            self._waiting.append(asked)
            acts_now = not self._is_acting
            self._is_acting = True
        if not acts_now:
            asked.turn.acquire()
        if not asked.is_over:
            self._act_for_all()
        return asked.succeeded

    def _act_for_all(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            self._act([each.item for each in batch])
        except Exception:
            if len(batch) == 1:
                raise
        else:
            for each in batch:
                each.succeeded = True
        finally:
            self._end(batch)

    def _end(self, batch: Sequence[_Asked[Item]]) -> None:
        """Let the threads of these items go on, and one that waits act for the next items."""
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._is_acting = following is not None
        if following is not None:
            following.turn.release()
        for each in batch:
            each.is_over = True
            each.turn.release()
