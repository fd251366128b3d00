"""All tests in this folder run on every test server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stores.servers import IN_SUITE, Server, server_of
from uploads.objectstore.client import ObjectStoreClient


@pytest.fixture(params=IN_SUITE)
def server(request: pytest.FixtureRequest) -> Server:
    return server_of(request)


@pytest.fixture
def client(server: Server) -> Iterator[ObjectStoreClient]:
    with server.connect() as connected:
        yield connected


@pytest.fixture
def bucket(server: Server) -> str:
    return server.store.new_bucket()
