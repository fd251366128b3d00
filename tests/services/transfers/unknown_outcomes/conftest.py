"""A store behind a proxy that injects faults, and a transfer to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import PART, Truth, values_of
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.replacement import ANYTHING
from uploads.models import Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig
from uploads.services.stores.settings import add_store


@pytest.fixture
def proxy(swift_store: SwiftStore) -> Iterator[FaultProxy]:
    with FaultProxy(swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def store(
    transactional_db: None,
    swift_store: SwiftStore,
    proxy: FaultProxy,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> Store:
    # A busy machine may not answer within the time for which a test wants to wait for a store that stalls.
    settings.STORE_STALL_SECONDS = 2.0 if _has_stall(request) else 20.0
    return add_store(None, values_of(swift_store, proxy))


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
def truth(swift_store: SwiftStore, bucket: str) -> Truth:
    credentials = Credentials(swift_store.access_key, swift_store.secret_key)
    config = StoreConfig(swift_store.endpoint_url, swift_store.region, credentials, provider="swift")
    return Truth(ObjectStoreClient(config), bucket)


@pytest.fixture
def transfer(drive: Drive) -> Transfer:
    """A file of three parts, all staged, none in the store."""
    return drive.upload(os.urandom(2 * PART + 7), part_size=PART)
