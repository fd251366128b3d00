"""Uploads of transfers that are missing from a page of the store's listing. No request is sent to a store."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from uploads.domain.states import Phase
from uploads.models import Store, StoreUpload, Transfer
from uploads.objectstore.types import UploadsPage, UploadsQuery
from uploads.services.browse.unlisted import MAX_UNLISTED, Unlisted, find_unlisted
from uploads.services.stores.settings import StoreValues, add_store

BUCKET = "photos"


@pytest.fixture
def store(transactional_db: None) -> Store:
    """A store that lists by key. It gets no request."""
    url = "http://127.0.0.1:9"
    return add_store(
        None, StoreValues(name="unreachable", endpoint_url=url, provider="aws", access_key="a", secret_key="s")
    )


def create_uploads(owner: User, store: Store, keys: Iterable[str]) -> None:
    """Record an upload for each key, created two hours ago by a failed transfer."""
    facts = {"size": 1, "part_size": 1, "part_count": 1, "node": "n", "phase": Phase.FAILED}
    transfers = Transfer.objects.bulk_create(
        Transfer(owner=owner, store=store, bucket=BUCKET, key=key, **facts) for key in keys
    )
    StoreUpload.objects.bulk_create(StoreUpload(transfer=each, upload_id=f"id-{each.key}") for each in transfers)
    StoreUpload.objects.update(created_at=timezone.now() - timedelta(hours=2))


def missing(store: Store, query: UploadsQuery, *, onward: str = "") -> Unlisted:
    """What is missing from an empty page. With `onward`, the listing continues at that key."""
    return find_unlisted(store, BUCKET, query, UploadsPage((), (), bool(onward), onward, ""), timezone.now())


def keys_of(found: Unlisted) -> list[str]:
    return [each.upload.key for each in found.uploads]


def test_memory_does_not_grow_with_missing_uploads(user: User, store: Store) -> None:
    def peak(query: UploadsQuery) -> int:
        tracemalloc.start()
        try:
            missing(store, query)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for delimiter in ("", "/"):
        Transfer.objects.all().delete()
        # In descending order: each key sorts before all earlier ones.
        create_uploads(user, store, [f"{number:05}/x" for number in reversed(range(1000))])
        peak(UploadsQuery(delimiter=delimiter))
        few = peak(UploadsQuery(delimiter=delimiter))
        create_uploads(user, store, [f"more {number:05}/x" for number in reversed(range(3000))])
        assert peak(UploadsQuery(delimiter=delimiter)) < 2 * few, "four times as many"


def test_first_uploads_are_shown_in_order_and_each_folder_once(user: User, store: Store) -> None:
    numbers = [number * 7919 % 500 for number in range(500)]
    create_uploads(user, store, [f"{number:03}" for number in numbers])
    create_uploads(user, store, [f"{number:03}/{name}" for number in numbers for name in "ab"])
    found = missing(store, UploadsQuery(delimiter="/"))
    assert keys_of(found) == [f"{number:03}" for number in range(MAX_UNLISTED)]
    assert list(found.prefixes) == [f"{number:03}/" for number in range(MAX_UNLISTED)]
    assert found.more
    whole = missing(store, UploadsQuery(prefix="00", delimiter="/"))
    assert keys_of(whole) == [f"00{number}" for number in range(10)]
    assert (len(whole.prefixes), whole.more) == (10, False)


def test_more_is_set_above_the_limit(user: User, store: Store) -> None:
    create_uploads(user, store, [f"{number:03}" for number in range(MAX_UNLISTED)])
    assert not missing(store, UploadsQuery()).more
    create_uploads(user, store, ["000 "])
    assert missing(store, UploadsQuery()).more


def test_only_rows_that_belong_on_the_page_are_read(user: User, store: Store) -> None:
    create_uploads(user, store, ["2025/b", "2026/10/a", "2026/11", "2026/11/b", "2026/12/c", "2027"])
    with CaptureQueriesContext(connection) as queries:
        found = missing(store, UploadsQuery(prefix="20", key_marker="2026/10/z"), onward="2026/12/a")
    assert keys_of(found) == ["2026/11", "2026/11/b"]
    assert "2026/1%" in queries.captured_queries[-1]["sql"]


def test_page_without_keys_of_the_prefix_reads_nothing(user: User, store: Store) -> None:
    create_uploads(user, store, ["a/1", "b/1"])
    with CaptureQueriesContext(connection) as queries:
        assert missing(store, UploadsQuery(prefix="a/", key_marker="b/0"), onward="b/2") == Unlisted()
    assert not [each for each in queries.captured_queries if "storeupload" in each["sql"]]
