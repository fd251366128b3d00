"""Replaces memcached in the embedded Swift proxy, which is one process: a dictionary is enough.

Without a cache, the proxy authenticates and reads the account and the bucket for every request.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

MAX_ENTRIES = 20_000

App = Callable[[dict[str, Any], Any], Any]


class LocalCache:
    """The methods of swift.common.memcached.MemcacheRing that the proxy uses. Values are kept as JSON, as there."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, float]] = {}

    def set(self, key: str, value: Any, *, time: float = 0, **_options: Any) -> None:
        if len(self._entries) >= MAX_ENTRIES:
            self._evict()
        self._entries[key] = (json.dumps(value), self._deadline(time))

    def get(self, key: str, **_options: Any) -> Any:
        text, deadline = self._entries.get(key, ("null", 0.0))
        if deadline < time.time():
            self._entries.pop(key, None)
            return None
        return json.loads(text)

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time=time)
        return value

    def decr(self, key: str, delta: int = 1, time: float = 0) -> int:
        return self.incr(key, delta=-int(delta), time=time)

    def delete(self, key: str, **_options: Any) -> None:
        self._entries.pop(key, None)

    def set_multi(self, mapping: Mapping[str, Any], _server_key: str, *, time: float = 0, **_options: Any) -> None:
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys: list[str], _server_key: str) -> list[Any]:
        return [self.get(key) for key in keys]

    @staticmethod
    def _deadline(timeout: float) -> float:
        """As memcached defines it: 0 means no timeout, and more than 30 days means a point in time."""
        if not timeout:
            return float("inf")
        return timeout if timeout > 30 * 86_400 else time.time() + timeout

    def _evict(self) -> None:
        """Drop expired entries, and the oldest entries if more than half of the space is in use."""
        now = time.time()
        fresh = [(key, entry) for key, entry in self._entries.items() if entry[1] >= now]
        self._entries = dict(fresh[-MAX_ENTRIES // 2 :])


def filter_factory(_global_conf: Mapping[str, str], **_local_conf: str) -> Callable[[App], App]:
    """What paste.deploy calls for `paste.filter_factory = local.memcache_filter:filter_factory`."""
    cache = LocalCache()

    def with_cache(app: App) -> App:
        def call(environ: dict[str, Any], start_response: Any) -> Any:
            environ["swift.cache"] = cache
            return app(environ, start_response)

        return call

    return with_cache
