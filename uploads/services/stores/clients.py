"""Object store clients: one per store and process, so that connections are reused."""

from __future__ import annotations

import threading
from collections import OrderedDict

from uploads import metrics
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.retry import DEFAULT_RETRIES, RetryPolicy
from uploads.objectstore.types import StoreConfig

MAX_CLIENTS = 32
"""The number of open clients. When there are more stores, the least recently used client is closed."""

ONCE = RetryPolicy(attempts=1)
"""For sending bytes: the store is checked before another attempt, and no sender sleeps between two attempts."""

_lock = threading.Lock()
_clients: OrderedDict[tuple[StoreConfig, RetryPolicy], ObjectStoreClient] = OrderedDict()


def client_for(store: Store, retries: RetryPolicy = DEFAULT_RETRIES) -> ObjectStoreClient:
    """The client of a store. A changed store has another configuration, and so another client."""
    config = (store.config(), retries)
    with _lock:
        client = _clients.get(config)
        if client is None:
            client = _clients[config] = ObjectStoreClient(config[0], retries=retries, observer=metrics.StoreObserver())
            while len(_clients) > MAX_CLIENTS:
                _clients.popitem(last=False)
        _clients.move_to_end(config)
        return client
