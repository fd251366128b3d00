"""Sweeps run on an OSS test server of this process: its uploads can be made older, and its responses replaced."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from tests.grants import make_operator
from tests.services.sweeps.make import LONG_AGO
from tests.stores.naming import new_bucket_name
from tests.stores.oss.accounts import Account
from tests.stores.oss.names import sitecustomize
from tests.stores.oss.responses import Response
from tests.stores.oss.server import Handler, OssServer
from tests.stores.oss.state import Bucket, Upload
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, UploadRef
from uploads.services.stores.settings import StoreValues, add_store

SIZE = 1000
REGION = "cn-hangzhou"
Fault = Callable[[], Response]


class _Faulty(Handler):
    """Answers the requests that a test has named with what the test says."""

    server: DatedServer

    def _respond(self, headers: dict[str, str], body: object) -> Response:
        name = operation_of(self.command, self.requestline.split(" ")[1])
        self.server.requests.append(name)
        fault = self.server.faults.get(name)
        return super()._respond(headers, body) if fault is None else fault()  # type: ignore[arg-type]


def operation_of(method: str, target: str) -> str:
    """The operation of a request, of those that a sweep sends."""
    query = target.partition("?")[2]
    if "uploadId=" in query and method in ("GET", "DELETE"):
        return "ListParts" if method == "GET" else "AbortMultipartUpload"
    if method == "HEAD":
        return "HeadObject"
    return "ListMultipartUploads" if "uploads" in query.split("&") or "uploads=" in query else ""


class DatedServer(OssServer):
    """`faults` replaces the responses of operations. `requests` are the operations that were requested."""

    def __init__(self, folder: Path) -> None:
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        super().__init__(folder)
        self.RequestHandlerClass = _Faulty
        self.account = Account(f"LTAI{secrets.token_hex(8)}", secrets.token_urlsafe(24))
        self.accounts.save(self.account)

    @property
    def endpoint_url(self) -> str:
        return f"http://oss-{REGION}.localhost:{self.server_port}"

    def new_bucket(self) -> str:
        name = new_bucket_name()
        self.state.buckets[name] = Bucket(name, REGION, datetime.now(UTC))
        return name

    def upload(self, bucket: str, ref: UploadRef) -> Upload:
        return self.state.buckets[bucket].uploads[ref.key, ref.upload_id]

    def is_there(self, bucket: str, ref: UploadRef) -> bool:
        return (ref.key, ref.upload_id) in self.state.buckets[bucket].uploads

    def age(self, bucket: str, ref: UploadRef, by: timedelta = LONG_AGO, *, parts: bool = True) -> None:
        """As if the upload had been started that much earlier, and its parts sent, if `parts`."""
        upload = self.upload(bucket, ref)
        upload.initiated -= by
        if parts:
            for number, part in upload.parts.items():
                upload.parts[number] = replace(part, modified=part.modified - by)


@pytest.fixture(scope="session")
def dated_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatedServer]:
    folder = tmp_path_factory.mktemp("dated")
    (folder / "accounts").mkdir()
    with DatedServer(folder) as server, sitecustomize.resolved():
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(dated_server: DatedServer) -> Iterator[DatedServer]:
    dated_server.requests.clear()
    yield dated_server
    dated_server.faults.clear()


@pytest.fixture
def user(db: None) -> User:
    """Only the thread of the test uses the database, so no test has to commit."""
    return make_operator("olga")


@pytest.fixture
def store(db: None, server: DatedServer) -> Store:
    return add_store(
        None,
        StoreValues(
            name="oss",
            endpoint_url=server.endpoint_url,
            region=REGION,
            provider="oss",
            access_key=server.account.access_key,
            secret_key=server.account.secret_key,
        ),
    )


@pytest.fixture
def bucket(server: DatedServer) -> str:
    return server.new_bucket()


@pytest.fixture
def source(tmp_path: Path) -> FileSlice:
    (tmp_path / "source").write_bytes(os.urandom(SIZE))
    return FileSlice(tmp_path / "source", 0, SIZE)


@dataclass(frozen=True)
class Left:
    """Uploads of the bucket that somebody has left."""

    server: DatedServer
    client: ObjectStoreClient
    bucket: str
    body: FileSlice

    def start(self, key: str = "left/key", parts: int = 1, *, idle: timedelta = LONG_AGO, first: int = 2) -> UploadRef:
        """Its parts have numbers from `first` on: without a part 1, nobody can complete it."""
        ref = UploadRef(key, self.client.create_multipart_upload(self.bucket, key))
        for number in range(first, first + parts):
            self.send(ref, number)
        self.server.age(self.bucket, ref, idle)
        return ref

    def send(self, ref: UploadRef, number: int) -> None:
        self.client.upload_part(self.bucket, ref.key, ref.upload_id, number, self.body)

    def is_there(self, ref: UploadRef) -> bool:
        return self.server.is_there(self.bucket, ref)


@pytest.fixture
def left(server: DatedServer, client: ObjectStoreClient, bucket: str, source: FileSlice) -> Left:
    return Left(server, client, bucket, source)


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fault:
    return lambda: Response(status, headers or {}, body)


def silence() -> Response:
    """The connection ends without a response."""
    raise ConnectionAbortedError
