"""More uploads in progress than any page holds: the links of the pages lead to each of them exactly once.

MANY_UPLOADS is their number on Ceph.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
from tests.stores.s3 import S3Store
from tests.stores.swift import SwiftStore
from uploads.models import Store, StoreUpload
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig, UploadRef
from uploads.services.stores.settings import StoreValues, add_store

pytestmark = pytest.mark.timeout(900)

MANY = int(os.environ.get("MANY_UPLOADS", "4000"))


@dataclass(frozen=True, slots=True)
class Crowd:
    """A bucket with many uploads in progress, and their names."""

    server: S3Store | SwiftStore
    provider: str
    bucket: str
    started: Counter[UploadRef]


def keys(count: int) -> Iterator[str]:
    """Half of the keys are in folders of very different sizes. Stores sort some names differently. Some keys repeat."""
    for number in range(count // 4):
        yield f"big/{number // 100:03}/item {number:05}"
    for number in range(count // 4):
        yield f"logs-{number % 40:02}/{number:05}.gz"
    for number in range(count // 4):
        yield ("report", "report.csv", "report-1", "report/", "report.", "réport")[number % 6] + str(number // 6)
    for number in range(count - 3 * (count // 4)):
        yield f"same {number // 700}"


def start(server: S3Store | SwiftStore, provider: str, count: int) -> Crowd:
    bucket = server.new_bucket()
    credentials = Credentials(server.access_key, server.secret_key)
    config = StoreConfig(server.endpoint_url, server.region, credentials, provider)
    names = list(keys(count))
    with ObjectStoreClient(config) as client, ThreadPoolExecutor(8) as pool:
        ids = pool.map(lambda key: client.create_multipart_upload(bucket, key), names)
        started = Counter(map(UploadRef, names, ids))
    assert (started.total(), len(started)) == (count, count)
    return Crowd(server, provider, bucket, started)


@pytest.fixture(
    scope="module",
    params=[("ceph_store", "ceph", MANY), ("swift_store", "swift", MANY // 2)],
    ids=lambda param: param[1],
)
def crowd(request: pytest.FixtureRequest) -> Crowd:
    fixture, provider, count = request.param
    return start(request.getfixturevalue(fixture), provider, count)


@pytest.fixture
def site_of(db: None, operator_client: Client) -> Callable[[Crowd], Site]:
    def add(crowd: Crowd) -> Site:
        server = crowd.server
        add_store(
            None,
            StoreValues(
                name=crowd.provider,
                provider=crowd.provider,
                endpoint_url=server.endpoint_url,
                region=server.region,
                access_key=server.access_key,
                secret_key=server.secret_key,
            ),
        )
        return Site(operator_client, crowd.provider, crowd.bucket)

    return add


def pages_from(site: Site, url: str) -> Iterator[Page]:
    while url:
        page = site.get(url)
        assert page.status == 200
        yield page
        url = page.link("next")


def test_flat(crowd: Crowd, site_of: Callable[[Crowd], Site], operator: User, store_requests: list[str]) -> None:
    """Partway started 300 of them, spread over the pages. None is reported as unlisted."""
    site = site_of(crowd)
    store = Store.objects.get(name=crowd.provider)
    ours = list(crowd.started)[:: crowd.started.total() // 300]
    for name in ours:
        make_transfer(operator, store, bucket=crowd.bucket, key=name.key, upload_id=name.upload_id)
    StoreUpload.objects.update(created_at=timezone.now() - timedelta(days=1))
    pages = list(pages_from(site, f"{site.links.uploads}?max-uploads=1000"))
    assert Counter(row for page in pages for row in page.rows) == crowd.started
    # One request for each page, and all but the last are full. Swift ends an exact fit with an empty page.
    assert len(store_requests) == len(pages)
    assert [len(page.rows) for page in pages if page.rows] == [1000] * (crowd.started.total() // 1000)
    assert sum(page.text.count('class="badge"') for page in pages) == len(ours)
    assert not [page for page in pages if "group-head" in page.words]


def test_by_folders(crowd: Crowd, site_of: Callable[[Crowd], Site], store_requests: list[str]) -> None:
    site = site_of(crowd)
    seen: Counter[UploadRef] = Counter()
    waiting, folders, pages = [f"{site.links.uploads}?max-uploads=1000&delimiter=/"], list[str](), 0
    while waiting:
        for page in pages_from(site, waiting.pop()):
            seen.update(page.rows)
            folders += page.folders
            waiting += page.folders
            pages += 1
    assert seen == crowd.started
    assert len(folders) == len(set(folders)) == len(folder_names(crowd))
    assert len(store_requests) == pages
    # The uploads inside folders are skipped: there are no more pages than folders and full pages.
    assert pages <= len(folders) + 1 + crowd.started.total() // 500


def folder_names(crowd: Crowd) -> set[str]:
    found = set()
    for name in crowd.started:
        pieces = name.key.split("/")[:-1]
        found |= {"/".join(pieces[: depth + 1]) + "/" for depth in range(len(pieces))}
    return found
