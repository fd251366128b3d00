"""Object store clients: one per store and process, so that connections are reused."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.retry import DEFAULT_RETRIES, RetryPolicy
from uploads.objectstore.types import StoreConfig
from uploads.services.stores import silence
from uploads.services.stores.health import StoreWatch
from uploads.services.stores.web_threads import threads_of

MAX_CLIENTS = 32
"""The number of open clients. When there are more stores, the least recently used client is closed."""

ONCE = RetryPolicy(attempts=1)
"""For sending bytes: the store is checked before another attempt, and no sender sleeps between two attempts."""

_lock = threading.Lock()
_clients: OrderedDict[tuple[int, StoreConfig, RetryPolicy], ObjectStoreClient] = OrderedDict()


_Kept = dict[tuple[int, RetryPolicy], tuple[Store, ObjectStoreClient]]
_kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextmanager
def keeping_clients() -> Iterator[None]:
    """Inside, the client of a loaded store is looked up once: secrets are not decrypted again for each request."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def client_for(store: Store, retries: RetryPolicy = DEFAULT_RETRIES) -> ObjectStoreClient:
    """The client of a store. A changed store has another configuration, and so another client.

    Raises NotAnswering for a page, if the store has not answered the last requests.
    """
    kept = _kept.get()
    if kept is None:
        return _find_client(store, retries)
    key = (id(store), retries)
    if key not in kept:
        # The object is kept with its client, so that no other one gets its id.
        kept[key] = (store, _find_client(store, retries))
    return kept[key][1]


def _find_client(store: Store, retries: RetryPolicy) -> ObjectStoreClient:
    silence.look_at(store)
    config = store.config()
    key = (store.pk, config, retries)
    with _lock:
        client = _clients.get(key)
        if client is None:
            client = _clients[key] = ObjectStoreClient(
                config, retries=retries, observer=StoreWatch(store), threads=threads_of(config.endpoint_url)
            )
            while len(_clients) > MAX_CLIENTS:
                _clients.popitem(last=False)
        _clients.move_to_end(key)
        return client
