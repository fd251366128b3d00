"""Limits to the connections of the web server, and to what they keep in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from uploads.domain.addresses import network_of

MEMORY_BYTES = 64 * 1024**2
"""For bodies that are not files and for responses that are not read, of all connections.

If it is used up, the largest body is refused, and threads wait for the readers of responses.
"""


class Limits:
    """How many connections there are, in all and from each address. Called by many threads.

    An IPv6 client has as many addresses as it likes, so that its network counts.
    """

    def __init__(self, most: int, most_per_address: int, is_exempt: Callable[[str], bool]) -> None:
        self.most = most
        self.most_per_address = most_per_address
        self._is_exempt = is_exempt
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._total = 0
        self.held_bytes = 0
        """Of bodies whose requests are handled or wait for a thread, and of responses that are sent without one."""

    def hold(self, count: int) -> None:
        with self._lock:
            self.held_bytes += count

    def has_memory(self, more: int = 0) -> bool:
        return self.held_bytes + more <= MEMORY_BYTES

    def is_large(self, count: int) -> bool:
        """Whether so many bytes are more than the share of a connection."""
        return count * self.most >= MEMORY_BYTES

    def is_exceeded(self) -> bool:
        return self._total > self.most

    def enter(self, address: str) -> bool:
        """Count a connection, or return False if there are too many from its address."""
        network = network_of(address)
        with self._lock:
            if self._counts[network] >= self.most_per_address and not self._is_exempt(address):
                return False
            self._counts[network] += 1
            self._total += 1
        return True

    def leave(self, address: str) -> None:
        network = network_of(address)
        with self._lock:
            self._total -= 1
            self._counts[network] -= 1
            if self._counts[network] <= 0:
                del self._counts[network]

    def count(self, address: str) -> int:
        return self._counts.get(network_of(address), 0)
