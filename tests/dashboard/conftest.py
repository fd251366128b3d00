"""Pages through Django's test client, against a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.pages import Site
from tests.grants import grant
from tests.stores.any_store import add
from tests.stores.running import RunningStore
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.connections import PatientAdapter
from uploads.objectstore.types import FileSlice, UploadRef

Start = Callable[..., UploadRef]


@pytest.fixture(autouse=True)
def plain_static_files(settings: Settings) -> None:
    """Static URLs without hashes, because the tests do not collect static files."""
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@cache
def hash_of(password: str) -> str:
    """Computed once in a process, because a hash costs half a second."""
    return make_password(password)


@pytest.fixture
def operator(db: None) -> User:
    user = User.objects.create(username="olga", password=hash_of("olga's password"))
    grant(user)
    return user


@pytest.fixture
def administrator(db: None) -> User:
    return User.objects.create(username="ada", password=hash_of("ada's password"), is_staff=True)


@pytest.fixture
def operator_client(operator: User) -> Client:
    """A client signed in as an operator. It checks CSRF tokens, as browsers have to send them."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    return client


@pytest.fixture
def administrator_client(administrator: User) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(administrator)
    return client


@pytest.fixture
def store(db: None, any_store: RunningStore) -> Store:
    return add(any_store)


@pytest.fixture
def make_store(db: None, any_store: RunningStore) -> Callable[..., Store]:
    """Adds the same store once more, with other values."""
    return lambda **changes: add(any_store, **changes)


@pytest.fixture
def bucket(any_store: RunningStore) -> str:
    return any_store.new_bucket()


@pytest.fixture
def object_store(store: Store) -> Iterator[ObjectStoreClient]:
    """A client of another program: its requests say nothing about the health of the store."""
    with ObjectStoreClient(store.config()) as client:
        yield client


@pytest.fixture
def site(operator_client: Client, store: Store, bucket: str) -> Site:
    """The pages of an empty bucket, for an operator."""
    return Site(operator_client, store.name, bucket)


@pytest.fixture
def start(object_store: ObjectStoreClient, bucket: str, tmp_path: Path) -> Start:
    """Start an upload in the bucket, as another program would: `parts` gives the size of each part number."""
    source = tmp_path / "source"
    source.write_bytes(bytes(5 * 1024**2))

    def start_upload(key: str, parts: dict[int, int] | None = None) -> UploadRef:
        upload_id = object_store.create_multipart_upload(bucket, key)
        for number, size in (parts or {}).items():
            object_store.upload_part(bucket, key, upload_id, number, FileSlice(source, 0, size))
        return UploadRef(key, upload_id)

    return start_upload


@pytest.fixture
def store_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every request that is sent to a store: `METHOD URL`."""
    sent: list[str] = []
    opened = PatientAdapter.opened

    def counting(self: PatientAdapter, request: requests.PreparedRequest, *args: Any) -> Any:
        sent.append(f"{request.method} {request.url}")
        return opened(self, request, *args)

    monkeypatch.setattr(PatientAdapter, "opened", counting)
    return sent
