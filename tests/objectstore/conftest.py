"""A server with scripted faults, clients that do not wait between attempts, and files to send."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.objectstore.fault_server import FaultServer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.types import Credentials, FileSlice, StoreConfig

MakeClient = Callable[..., ObjectStoreClient]
MakeFile = Callable[[bytes], FileSlice]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    """The seconds that the client would have waited between attempts."""
    return []


@pytest.fixture
def make_client(slept: list[float]) -> Iterator[MakeClient]:
    """Creates clients and closes them at the end; keyword arguments are passed to StoreConfig."""
    with ExitStack() as stack:

        def make(endpoint_url: str, **config: Any) -> ObjectStoreClient:
            config = {"region": "us-east-1", "credentials": Credentials("AK", "SECRET"), "provider": "aws", **config}
            retries = RetryPolicy(attempts=3, sleep=slept.append, random=lambda: 1.0)
            return stack.enter_context(ObjectStoreClient(StoreConfig(endpoint_url, **config), retries=retries))

        yield make


@pytest.fixture
def client(server: FaultServer, make_client: MakeClient) -> ObjectStoreClient:
    """A client of the server with faults; its provider's ETags are MD5."""
    return make_client(server.url, addressing="path")


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    numbers = itertools.count(1)

    def make(content: bytes) -> FileSlice:
        path = tmp_path / f"body-{next(numbers)}"
        path.write_bytes(content)
        return FileSlice(path, 0, len(content))

    return make
