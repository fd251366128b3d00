"""A store behind a proxy that injects faults, and a transfer to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import PART, Truth
from tests.stores.any_store import KIND, add
from tests.stores.running import RunningStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.replacement import ANYTHING
from uploads.models import Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig


@pytest.fixture
def proxy(any_store: RunningStore) -> Iterator[FaultProxy]:
    with FaultProxy(any_store.endpoint_url) as running:
        yield running


@pytest.fixture
def store(
    transactional_db: None,
    any_store: RunningStore,
    proxy: FaultProxy,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> Store:
    # A busy machine may not answer within the time for which a test wants to wait for a store that stalls.
    settings.STORE_STALL_SECONDS = 2.0 if _has_stall(request) else 20.0
    return add(any_store, endpoint_url=proxy.url)


def _has_stall(request: pytest.FixtureRequest) -> bool:
    callspec = getattr(request.node, "callspec", None)
    return callspec is not None and Fault.STALL in callspec.params.values()


class ReplacingDrive(Drive):
    """Its transfers may replace any object, so that each HEAD follows the request whose outcome it shows.

    What precedes that request is tested in tests/services/on_servers/test_replacing.py.
    """

    def start(self, size: int, key: str = "a/key", **more: Any) -> Transfer:
        return super().start(size, key, **{"replace": True, "replacement": ANYTHING} | more)


@pytest.fixture
def drive(user: User, store: Store, bucket: str) -> Drive:
    return ReplacingDrive(user, store, bucket)


@pytest.fixture
def truth(any_store: RunningStore, bucket: str) -> Truth:
    credentials = Credentials(any_store.access_key, any_store.secret_key)
    config = StoreConfig(any_store.endpoint_url, any_store.region, credentials, provider=KIND.provider)
    return Truth(ObjectStoreClient(config), bucket)


@pytest.fixture
def transfer(drive: Drive) -> Transfer:
    """A file of three parts, all staged, none in the store."""
    return drive.upload(os.urandom(2 * PART + 7), part_size=PART)
