"""The store of tests that are about no kind of store: a Versity S3 Gateway, which responds faster than the others.

Tests of a kind of store use its own fixture, and tests that have to hold everywhere run on all of them
(tests/stores/servers.py).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.stores.running import RunningStore
from tests.stores.servers import ANY, KINDS, Kind
from tests.stores.swift import SwiftStore
from uploads.models import Store
from uploads.services.stores.settings import StoreValues, add_store

ON_SWIFT = pytest.mark.parametrize("any_store", ["swift"], indirect=True)
"""Marks a test that is about Swift, in a file whose other tests are not."""

KIND = ANY
"""Where a file replaces the fixture with that of Swift, its stores are of that kind."""

NAME = "main"
"""Its name in the dashboard."""


def _kind_of(running: RunningStore) -> Kind:
    return KINDS["swift"] if isinstance(running, SwiftStore) else KIND


def values_of(running: RunningStore, **changes: Any) -> StoreValues:
    values = {
        "name": NAME,
        "endpoint_url": running.endpoint_url,
        "region": running.region,
        "provider": _kind_of(running).provider,
        "access_key": running.access_key,
        "secret_key": running.secret_key,
    }
    return StoreValues(**values | changes)


def add(running: RunningStore, **changes: Any) -> Store:
    """Add it to the dashboard, with the overrides that a store check finds. `changes` are other values."""
    store = add_store(None, values_of(running, **changes))
    if store.provider == _kind_of(running).provider == KIND.provider:
        store.overrides = dict(KIND.overrides)
        store.save(update_fields=["overrides"])
    return store
