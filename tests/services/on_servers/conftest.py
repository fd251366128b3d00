"""Each test runs on every test server, or on those that it names for `backend`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.services.on_servers.backend import Backend, Others
from tests.stores.servers import IN_SUITE, server_of
from tests.system.fault_proxy import FaultProxy
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.stores.settings import StoreValues, add_store


@pytest.fixture(params=IN_SUITE)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    server = server_of(request)
    with FaultProxy(server.store.endpoint_url) as proxy, server.connect() as truth:
        yield Backend(server, proxy, truth)


@pytest.fixture
def proxy(backend: Backend) -> FaultProxy:
    return backend.proxy


@pytest.fixture
def truth(backend: Backend) -> ObjectStoreClient:
    return backend.truth


@pytest.fixture
def store(transactional_db: None, backend: Backend, settings: Settings) -> Store:
    """The store with the overrides of a check, reached through the proxy."""
    settings.STORE_STALL_SECONDS = 5.0
    given = backend.server.config()
    store = add_store(
        None,
        StoreValues(
            name=backend.server.name,
            endpoint_url=f"http://{urlsplit(given.endpoint_url).hostname}:{backend.proxy.port}",
            region=given.region,
            provider=given.provider,
            access_key=given.credentials.access_key,
            secret_key=given.credentials.secret_key,
        ),
    )
    Store.objects.filter(pk=store.pk).update(overrides=dict(backend.server.kind.overrides))
    return Store.objects.get(pk=store.pk)


@pytest.fixture
def bucket(backend: Backend) -> str:
    return backend.server.store.new_bucket()


@pytest.fixture
def part_size(backend: Backend) -> int:
    return backend.server.profile.min_part_size


@pytest.fixture
def others(truth: ObjectStoreClient, bucket: str, tmp_path: Path) -> Others:
    return Others(truth, bucket, tmp_path)


@pytest.fixture
def browser(user: User, settings: Settings) -> Client:
    """A signed-in operator. The static files are not collected, so their URLs have no hashes."""
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
    client = Client()
    client.force_login(user)
    return client
