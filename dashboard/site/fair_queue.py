"""The queue of requests that wait for a thread: clients are served in turn.

With one line for all, a thousand requests of one client would make everybody else wait until the last of them. A client
is a session or a token at an address. A client that invents many of them is bounded by its number of connections.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from queue import Queue
from typing import Any

from dashboard.site.newest_first import NewestFirst


class FairQueue(Queue[Any]):
    """One line for each client. `client_of` names the client of an item; None: it comes after all others.

    Queue calls these methods under its lock.
    """

    def __init__(self, client_of: Callable[[Any], Hashable | None]) -> None:
        self._client_of = client_of
        super().__init__()
        self.not_empty = NewestFirst(self.mutex)  # type: ignore[assignment]  # a part of the methods of a condition

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - the name is that of Queue
        self._lines: OrderedDict[Hashable, deque[Any]] = OrderedDict()
        self._last: deque[Any] = deque()
        self._count = 0

    def _qsize(self) -> int:
        return self._count

    def _put(self, item: Any) -> None:
        client = self._client_of(item)
        line = self._last if client is None else self._lines.setdefault(client, deque())
        line.append(item)
        self._count += 1

    def _get(self) -> Any:
        self._count -= 1
        if not self._lines:
            return self._last.popleft()
        client, line = self._lines.popitem(last=False)
        item = line.popleft()
        if line:
            self._lines[client] = line  # At the end: everybody else comes first.
        return item
