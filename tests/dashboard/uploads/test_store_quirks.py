"""The quirks of real stores, one by one, as the listing page shows them.

Ceph RADOS Gateway and Swift have some of them. A proxy with a misreporting listing before Swift has the others.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.dashboard import misreporting
from tests.dashboard.conftest import Start
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.misreporting import MisreportingStore
from tests.dashboard.pages import JSON, Element, Page, Site
from tests.grants import grant
from tests.stores.running import RunningStore
from tests.stores.s3 import S3Store
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import DesiredState, ItemState, Phase, StoreUploadState
from uploads.models import OperationItem, Store, StoreUpload
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import CompletedPart, FileSlice, MultipartUpload, UploadRef
from uploads.services.browse.unlisted import MAX_UNLISTED
from uploads.services.operations.order import request_abort
from uploads.services.operations.run import run_item
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store

UNLISTED = "Not in the store's listing"
LONG_AGO = timedelta(hours=2)


# --- Pages and rows ---------------------------------------------------------------------------------------------------


def walk(site: Site, query: str = "") -> list[Page]:
    """Every page, by the 'next' links."""
    pages = [site.listing(query)]
    while url := pages[-1].link("next"):
        pages.append(site.get(url))
    assert all(page.status == 200 for page in pages)
    return pages


def rows_of(pages: list[Page]) -> Counter[UploadRef]:
    return Counter(row for page in pages for row in page.rows)


def folder_names(pages: list[Page]) -> list[str]:
    """The prefix that each folder leads to."""
    return [
        unquote(re.findall(r"[?&]prefix=([^&]*)", url)[0].replace("+", " ")) for page in pages for url in page.folders
    ]


def shows_unlisted(page: Page) -> bool:
    return UNLISTED in page.words


def unlisted_keys(page: Page) -> list[str]:
    """The keys of the rows below the heading of uploads that the store leaves out."""
    _, _, below = page.text.partition('class="group-head"')
    found = re.findall(r'<th scope="row"><a href="[^"]*[?&;]key=([^&"]*)', below)
    return [unquote(html.unescape(key)) for key in found]


def facts_urls(page: Page) -> list[str]:
    """What static/uploads/facts.js asks for, one row at a time."""
    found = []
    for link in page.find("a"):
        row = link.parent.parent if link.parent and link.parent.tag == "th" else None
        if row is None or link.classes or not row.classes <= {"unlisted"}:
            continue
        (table,) = page.find("table", "table-uploads")
        more = "&unlisted=1" if row.classes else ""
        found.append(f"{table.get('data-facts')}?{link.get('href').partition('?')[2]}{more}")
    return found


# --- Ceph -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """The quirks are those of Swift, or of a proxy before it."""
    return swift_store


@pytest.fixture
def ceph(db: None, ceph_store: S3Store, operator_client: Client) -> Site:
    """The pages of an empty bucket in Ceph."""
    add_store(
        None,
        StoreValues(
            name="ceph",
            provider="ceph",
            endpoint_url=ceph_store.endpoint_url,
            region=ceph_store.region,
            access_key=ceph_store.access_key,
            secret_key=ceph_store.secret_key,
        ),
    )
    return Site(operator_client, "ceph", ceph_store.new_bucket())


def start_in(site: Site, *keys: str) -> list[UploadRef]:
    client = client_for(Store.objects.get(name=site.store))
    return [UploadRef(key, client.create_multipart_upload(site.bucket, key)) for key in keys]


def test_key_marker_alone_lists_strictly_after_the_key_on_ceph(ceph: Site) -> None:
    start_in(ceph, "a", "a", "b")
    page = ceph.listing("key-marker=a")
    assert [row.key for row in page.rows] == ["b"]
    first, second = (row for row in ceph.listing().rows if row.key == "a")
    after = ceph.listing(f"key-marker=a&upload-id-marker={first.upload_id}")
    assert [row for row in after.rows if row.key == "a"] == [second]
    assert [row.key for row in after.rows] == ["a", "b"]


def test_key_with_more_uploads_than_a_page_on_ceph(ceph: Site) -> None:
    started = start_in(ceph, *["same"] * 7, "same-1", "samez")
    assert rows_of(walk(ceph, "max-uploads=2")) == Counter(started)
    # The uploads of the marker's key fill the first page. It shows nothing, but has a next page.
    pages = walk(ceph, "key-marker=same&max-uploads=2")
    assert "More uploads follow. Continue with the next page." in pages[0].words
    assert (pages[0].rows, pages[-1].rows[-1].key) == ([], "samez")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_partway_groups_folders_where_ceph_loses_them(ceph: Site, store_requests: list[str], size: int) -> None:
    started = start_in(
        ceph, "dir", "dir", "dir-x", "dir.x", "dir/", "dir/a", "dir/b/c", "dir/b/d", "other/x", "top", "é/1"
    )
    pages = walk(ceph, f"delimiter=/&max-uploads={size}")
    assert all("Partway groups the folders itself" in page.words for page in pages)
    assert rows_of(pages) == Counter(name for name in started if "/" not in name.key)
    assert sorted(folder_names(pages)) == ["dir/", "other/", "é/"]
    inside = walk(ceph, f"delimiter=/&prefix=dir/&max-uploads={size}")
    assert sorted(row.key for row in rows_of(inside).elements()) == ["dir/", "dir/a"]
    assert folder_names(inside) == ["dir/b/"]
    assert sorted(row.key for row in rows_of(walk(ceph, f"delimiter=/&prefix=dir/b/&max-uploads={size}"))) == [
        "dir/b/c",
        "dir/b/d",
    ]
    assert not [each for each in store_requests if "delimiter=" in each]


def test_delimiter_of_two_characters_and_cephs_own_dot(ceph: Site) -> None:
    started = start_in(ceph, "a", "a--b", "a--c", "a-b", "a.b", "a.c")
    pages = walk(ceph, "delimiter=--&max-uploads=1")
    assert rows_of(pages) == Counter(name for name in started if "--" not in name.key)
    assert folder_names(pages) == ["a--"]
    # Ceph sorts by key.id, so uploads of `a` are among those of the folder `a.`. None is skipped.
    pages = walk(ceph, "delimiter=.&max-uploads=1")
    assert rows_of(pages) == Counter(name for name in started if "." not in name.key)
    assert set(folder_names(pages)) == {"a."}


def test_large_folder_costs_one_page_on_ceph(ceph: Site, store_requests: list[str]) -> None:
    start_in(ceph, *(f"big/{number:02}" for number in range(40)), "a", "z")
    del store_requests[:]
    pages = walk(ceph, "delimiter=/&max-uploads=5")
    assert folder_names(pages) == ["big/"]
    assert [row.key for row in rows_of(pages)] == ["a", "z"]
    assert len(pages) == len(store_requests) == 2
    back = ceph.get(pages[1].link("prev"))
    assert (back.rows, back.folders) == (pages[0].rows, pages[0].folders)


def test_markers_that_ceph_does_not_encode_are_used_as_they_are(ceph: Site) -> None:
    started = start_in(ceph, "a b", "a%20b", "a+b", "a%2Fb", "a&b<c>", "ü", "ü%C3%BC", "?#", "100%")
    assert rows_of(walk(ceph, "max-uploads=1")) == Counter(started)
    started += start_in(ceph, "p%2Fq/1", "p q/1")
    assert sorted(folder_names(walk(ceph, "delimiter=/&max-uploads=1"))) == ["p q/", "p%2Fq/"]


def test_control_character_does_not_break_the_page_on_ceph(ceph: Site) -> None:
    started = start_in(ceph, "before", "bad\x01key", "bad\x1fkey", "line\nfeed", "tab\tkey", "zzz")
    assert rows_of([ceph.listing()]) == Counter(started)
    assert rows_of(walk(ceph, "max-uploads=1")) == Counter(started)
    page = ceph.listing("prefix=bad%01")
    assert [row.key for row in page.rows] == ["bad\x01key"]
    assert ceph.get(page.details[0]).status == 200
    assert "no parts" in ceph.get(facts_urls(page)[0]).words


def test_no_such_key_of_list_parts_on_ceph_means_gone(ceph: Site) -> None:
    (name,) = start_in(ceph, "key")
    page = ceph.listing()
    client_for(Store.objects.get(name="ceph")).abort_multipart_upload(ceph.bucket, name.key, name.upload_id)
    facts = ceph.get(facts_urls(page)[0])
    assert facts.status == 200
    assert "data-gone" in facts.text
    detail = ceph.get(page.details[0])
    assert detail.status == 404
    assert "No such upload" in detail.words
    assert "NoSuchKey" in detail.words


@pytest.mark.parametrize("size", [1, 2, 5])
def test_order_by_key_and_upload_id_on_ceph(ceph: Site, size: int) -> None:
    started = start_in(ceph, "report", "report", "report-1", "report.csv", "report.1", "report/x", "reporter")
    pages = walk(ceph, f"max-uploads={size}")
    assert rows_of(pages) == Counter(started)
    keys = [row.key for page in pages for row in page.rows]
    assert keys.index("report-1") < keys.index("report.1") < keys.index("report") < keys.index("report.csv")
    assert walk_back(ceph, pages[-1]) == [page.rows for page in reversed(pages)]


def walk_back(site: Site, page: Page) -> list[list[UploadRef]]:
    found = [page.rows]
    while url := page.link("prev"):
        page = site.get(url)
        found.append(page.rows)
    return found


def test_own_uploads_are_expected_where_ceph_lists_them(ceph: Site, operator: User) -> None:
    """None of them is reported as unlisted, wherever pages end."""
    store = Store.objects.get(name="ceph")
    for name in start_in(
        ceph, "a", "a", "a-b", "a b", "a.1", "a.z", "a/x", "a/y", "ab", "a..m", "é", "\U0001f600", "A"
    ):
        own(operator, store, ceph.bucket, name)
    for query in ("", "delimiter=/", "prefix=a", "key-marker=a", "prefix=a&delimiter=."):
        for size in (1, 2, 3, 100):
            pages = walk(ceph, f"{query}&max-uploads={size}")
            assert not [page.words for page in pages if shows_unlisted(page)], (query, size)


# --- Swift ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
def test_order_by_key_and_upload_id_on_swift(site: Site, start: Start, size: int) -> None:
    keys = ("report", "report", "report.csv", "report-1", "report/x", "reporter")
    started = [start(key) for key in keys]
    pages = walk(site, f"max-uploads={size}")
    assert rows_of(pages) == Counter(started)
    shown = [row.key for page in pages for row in page.rows]
    assert shown.index("report-1") < shown.index("report.csv") < shown.index("report") < shown.index("reporter")
    assert walk_back(site, pages[-1]) == [page.rows for page in reversed(pages)]


def test_pages_of_one_upload_without_markers_on_swift(
    site: Site, start: Start, object_store: ObjectStoreClient
) -> None:
    started = [start(key) for key in ("a", "a", "a/b", "c")]
    first = object_store.list_multipart_uploads(site.bucket, max_uploads=1)
    assert first.is_truncated
    assert not first.next_key_marker
    assert rows_of(walk(site, "max-uploads=1")) == Counter(started)
    inside = walk(site, "prefix=a/&max-uploads=1")
    assert [row.key for row in rows_of(inside).elements()] == ["a/b"]


def test_exact_fit_ends_with_an_empty_page_on_swift(site: Site, start: Start) -> None:
    started = [start(key) for key in "abcd"]
    pages = walk(site, "max-uploads=2")
    assert [len(page.rows) for page in pages] == [2, 2, 0]
    assert rows_of(pages) == Counter(started)
    assert "No more uploads after this point" in pages[-1].words
    assert walk_back(site, pages[-1])[1:] == [pages[1].rows, pages[0].rows]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_repeated_common_prefixes_on_swift_are_shown_once(
    site: Site, start: Start, object_store: ObjectStoreClient, size: int
) -> None:
    started = [start(key) for key in ("a", "b/1", "b/2", "c", "d/1", "e", "f")]
    first = object_store.list_multipart_uploads(site.bucket, delimiter="/", max_uploads=2)
    after = object_store.list_multipart_uploads(
        site.bucket,
        delimiter="/",
        max_uploads=2,
        key_marker=first.next_key_marker,
        upload_id_marker=first.next_upload_id_marker,
    )
    assert set(first.common_prefixes) & set(after.common_prefixes)
    pages = walk(site, f"delimiter=/&max-uploads={size}")
    assert folder_names(pages) == ["b/", "d/"]
    assert rows_of(pages) == Counter(name for name in started if "/" not in name.key)
    assert not any("Partway groups the folders itself" in page.words for page in pages)


def test_own_uploads_are_expected_where_swift_lists_them(
    site: Site, start: Start, operator: User, store: Store
) -> None:
    for key in ("a", "a", "a-b", "a b", "a.1", "a/x", "a/y", "ab", "é", "A", "a//", "a/x/y"):
        own(operator, store, site.bucket, start(key))
    for query in ("", "delimiter=/", "prefix=a", "key-marker=a", "prefix=a/&delimiter=/"):
        for size in (1, 2, 3, 100):
            pages = walk(site, f"{query}&max-uploads={size}")
            assert not [page.words for page in pages if shows_unlisted(page)], (query, size)


# --- Versity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pair_of_markers_is_sent_as_versity_accepts_it(
    db: None, versity_store: S3Store, operator_client: Client, operator: User, size: int
) -> None:
    """Versity searches the upload id after the key marker, and lists the uploads of a key by the time of creation."""
    store = add_store(
        None,
        StoreValues(
            name="versity",
            endpoint_url=versity_store.endpoint_url,
            region=versity_store.region,
            access_key=versity_store.access_key,
            secret_key=versity_store.secret_key,
        ),
    )
    Store.objects.filter(pk=store.pk).update(overrides={"marker_pair": "key-before"})
    site = Site(operator_client, "versity", versity_store.new_bucket())
    started = start_in(site, "a", "b", "b", "b", "b", "b", "b.x", "c/d", "c/e", "é", "é")
    for name in started:
        own(operator, store, site.bucket, name)
    pages = walk(site, f"max-uploads={size}")
    assert rows_of(pages) == Counter(started)
    assert not [page.words for page in pages if shows_unlisted(page)]
    pages = walk(site, f"delimiter=/&max-uploads={size}")
    assert folder_names(pages) == ["c/"]
    assert rows_of(pages) == Counter(name for name in started if "/" not in name.key)
    assert not [page.words for page in pages if shows_unlisted(page)]


# --- Misreporting listings: quirks that none of the real stores here has ----------------------------------------------


@pytest.fixture
def faulty_store(object_store: ObjectStoreClient, any_store: RunningStore) -> Iterator[MisreportingStore]:
    with misreporting.misreporting(object_store, any_store.endpoint_url) as store:
        yield store


@pytest.fixture
def faulty_site(
    faulty_store: MisreportingStore, make_store: Callable[..., Store], operator_client: Client, bucket: str
) -> Site:
    """The bucket of the site, behind a misreporting listing."""
    return Site(
        operator_client, make_store(name="faulty", endpoint_url=faulty_store.url, provider="generic").name, bucket
    )


def of_kind(site: Site, provider: str) -> None:
    Store.objects.filter(name=site.store).update(provider=provider)


def own(owner: User, store: Store, bucket: str, name: UploadRef, **values: Any) -> StoreUpload:
    """Record an upload as one that a transfer started two hours ago."""
    transfer = make_transfer(owner, store, bucket=bucket, key=name.key, **values)
    row = StoreUpload.objects.create(transfer=transfer, upload_id=name.upload_id)
    StoreUpload.objects.filter(pk=row.pk).update(created_at=timezone.now() - LONG_AGO)
    return row


@pytest.fixture
def own_upload(faulty_site: Site, start: Start, operator: User) -> Callable[..., UploadRef]:
    """Start an upload in the real store, and record it as one of a transfer."""
    store = Store.objects.get(name=faulty_site.store)

    def start_own(key: str, **values: Any) -> UploadRef:
        name = start(key, {1: 1024})
        own(operator, store, faulty_site.bucket, name, **values)
        return name

    return start_own


def test_unlisted_uploads_are_shown_and_marked(
    faulty_site: Site,
    faulty_store: MisreportingStore,
    own_upload: Callable[..., UploadRef],
    start: Start,
    store_requests: list[str],
) -> None:
    seen, lost, strange = own_upload("seen"), own_upload("lost"), start("strange")
    page = faulty_site.listing()
    assert not shows_unlisted(page)
    faulty_store.omitted = {lost.upload_id, strange.upload_id}
    del store_requests[:]
    page = faulty_site.listing()
    # One request is the page's; the other is the proxy's, to the real store.
    assert [each for each in store_requests if each.startswith(f"GET {faulty_store.url}")] == store_requests[:1]
    assert len(store_requests) == 2
    assert page.rows == [seen]
    assert shows_unlisted(page)
    assert unlisted_keys(page) == ["lost"]
    response = faulty_site.json(faulty_site.links.uploads).json
    assert [each["UploadId"] for each in response["Uploads"]] == [seen.upload_id]
    (unlisted,) = response["Unlisted"]
    assert (unlisted["Key"], unlisted["UploadId"]) == ("lost", lost.upload_id)
    assert set(unlisted) == set(response["Uploads"][0])
    assert response["UnlistedIsTruncated"] is False


def test_facts_of_an_unlisted_upload_show_whether_it_exists(
    faulty_site: Site,
    faulty_store: MisreportingStore,
    own_upload: Callable[..., UploadRef],
    object_store: ObjectStoreClient,
) -> None:
    lost = own_upload("lost")
    faulty_store.omitted = {lost.upload_id}
    page = faulty_site.listing()
    (url,) = facts_urls(page)
    facts = faulty_site.get(url)
    assert "still there" in facts.words
    assert "1.00 KiB" in facts.words
    assert faulty_site.get(page.details[0]).status == 200
    object_store.abort_multipart_upload(faulty_site.bucket, lost.key, lost.upload_id)
    assert "data-gone" in faulty_site.get(url).text
    assert faulty_site.get(page.details[0]).status == 404


def test_empty_listing_shows_unlisted_uploads(
    faulty_site: Site, faulty_store: MisreportingStore, own_upload: Callable[..., UploadRef]
) -> None:
    of_kind(faulty_site, "minio")
    faulty_store.make_page = misreporting.like_minio
    lost = own_upload("lost")
    faulty_store.omitted = {lost.upload_id}
    page = faulty_site.listing()
    assert unlisted_keys(page) == ["lost"]
    assert "may leave out uploads" in page.words
    StoreUpload.objects.update(state=StoreUploadState.GONE)
    assert "No uploads are listed" in faulty_site.listing().words


def test_unlisted_uploads_are_on_the_page_where_they_belong(
    faulty_site: Site, faulty_store: MisreportingStore, own_upload: Callable[..., UploadRef], start: Start
) -> None:
    lost = [own_upload(key) for key in ("a", "bb", "m", "zz")]
    for key in ("b", "c", "l", "n", "y"):
        start(key)
    faulty_store.omitted = {name.upload_id for name in lost}
    pages = walk(faulty_site, "max-uploads=2")
    assert [unlisted_keys(page) for page in pages] == [["a", "bb"], ["m"], ["zz"]]
    assert [unlisted_keys(page) for page in walk(faulty_site, "prefix=b")] == [["bb"]]
    assert [unlisted_keys(page) for page in walk(faulty_site, "key-marker=m")] == [["zz"]]


def test_unlisted_folder_is_shown_as_a_folder(
    faulty_site: Site, faulty_store: MisreportingStore, own_upload: Callable[..., UploadRef], start: Start
) -> None:
    of_kind(faulty_site, "minio")
    faulty_store.make_page = misreporting.like_minio
    lost = [own_upload("dir/lost"), own_upload("seen/lost"), own_upload("top")]
    start("seen/kept")
    faulty_store.omitted = {name.upload_id for name in lost}
    page = faulty_site.listing("delimiter=/")
    assert folder_names([page]) == ["seen/", "dir/"]
    assert unlisted_keys(page) == ["top"]
    assert unlisted_keys(faulty_site.get(page.folders[1])) == ["dir/lost"]
    response = faulty_site.json(f"{faulty_site.links.uploads}?delimiter=/").json
    assert response["CommonPrefixes"] == [{"Prefix": "seen/"}]
    assert response["UnlistedPrefixes"] == [{"Prefix": "dir/"}]


def test_uploads_that_have_just_started_or_are_ending_are_not_expected(
    faulty_site: Site, faulty_store: MisreportingStore, own_upload: Callable[..., UploadRef]
) -> None:
    names = [
        own_upload("completing", phase=Phase.COMPLETING),
        own_upload("cancelled", desired_state=DesiredState.CANCEL),
        own_upload("new"),
        own_upload("failed", phase=Phase.FAILED),
    ]
    StoreUpload.objects.filter(transfer__key="new").update(created_at=timezone.now())
    faulty_store.omitted = {name.upload_id for name in names}
    assert unlisted_keys(faulty_site.listing()) == ["failed"]


def test_at_most_200_unlisted_uploads_are_shown(faulty_site: Site, operator: User) -> None:
    store = Store.objects.get(name=faulty_site.store)
    for number in range(MAX_UNLISTED + 1):
        own(operator, store, faulty_site.bucket, UploadRef(f"lost {number:03}", f"id-{number}"))
    page = faulty_site.listing()
    assert unlisted_keys(page) == [f"lost {number:03}" for number in range(MAX_UNLISTED)]
    assert "Only the first 200 are shown" in page.words
    assert faulty_site.json(faulty_site.links.uploads).json["UnlistedIsTruncated"] is True
    assert unlisted_keys(faulty_site.listing("prefix=lost 200")) == ["lost 200"]


def test_without_an_order_unlisted_uploads_are_on_the_last_page(
    faulty_site: Site, faulty_store: MisreportingStore, own_upload: Callable[..., UploadRef], start: Start
) -> None:
    Store.objects.filter(name=faulty_site.store).update(overrides={"order": "none"})
    lost = own_upload("a")
    for key in "bcd":
        start(key)
    faulty_store.omitted = {lost.upload_id}
    pages = walk(faulty_site, "max-uploads=2")
    assert [unlisted_keys(page) for page in pages] == [[], ["a"]]
    assert "may be on other pages" in pages[1].words
    assert "lists uploads in no particular order" in pages[0].words


def test_other_buckets_and_stores_are_not_included(
    faulty_site: Site, faulty_store: MisreportingStore, operator: User, store: Store, any_store: RunningStore
) -> None:
    here = Store.objects.get(name=faulty_site.store)
    own(operator, here, any_store.new_bucket(), UploadRef("other bucket", "1"))
    own(operator, store, faulty_site.bucket, UploadRef("other store", "2"))
    ended = own(operator, here, faulty_site.bucket, UploadRef("ended", "3"))
    StoreUpload.objects.filter(pk=ended.pk).update(state=StoreUploadState.GONE)
    assert not shows_unlisted(faulty_site.listing())


def test_row_of_an_aborted_upload_that_is_still_listed_is_marked_at_once(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start, operator: User
) -> None:
    name, alive = start("aborted"), start("alive")
    store = Store.objects.get(name=faulty_site.store)
    faulty_store.kept = listed(faulty_site, faulty_store, name)
    operation = request_abort(operator, store, faulty_site.bucket, [name])
    for item in OperationItem.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True):
        run_item(item)
    page = faulty_site.listing()
    assert page.rows == [alive]
    assert "aborted here" in page.words
    assert "the store still lists it" in page.words
    assert f'href="/operations/{operation.pk}/"' in page.text
    assert [unquote(url) for url in facts_urls(page)] == [unquote(faulty_site.links.facts(alive))]
    response = faulty_site.json(faulty_site.links.uploads).json
    assert {each["Key"] for each in response["Uploads"]} == {"aborted", "alive"}


def test_row_of_a_completed_upload_that_is_still_listed_is_marked_at_once(
    faulty_site: Site, faulty_store: MisreportingStore, own_upload: Callable[..., UploadRef]
) -> None:
    name = own_upload("done", phase=Phase.DONE, finished_at=timezone.now() - timedelta(minutes=3))
    StoreUpload.objects.update(state=StoreUploadState.COMPLETED)
    page = faulty_site.listing()
    assert page.rows == []
    assert "completed here" in page.words
    assert "3 minutes ago" in page.words
    assert "Abort selected" not in page.words
    transfer = StoreUpload.objects.get(upload_id=name.upload_id).transfer_id
    assert f'href="/transfers/{transfer}/"' in page.text


def test_other_row_is_marked_as_gone_when_its_facts_are_fetched(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start, object_store: ObjectStoreClient
) -> None:
    name = start("elsewhere")
    faulty_store.kept = listed(faulty_site, faulty_store, name)
    object_store.abort_multipart_upload(faulty_site.bucket, name.key, name.upload_id)
    page = faulty_site.listing()
    assert page.rows == [name]
    facts = faulty_site.get(facts_urls(page)[0])
    assert "data-gone" in facts.text
    assert "the store still listed it" in facts.words


def listed(site: Site, faulty_store: MisreportingStore, name: UploadRef) -> list[MultipartUpload]:
    (found,) = faulty_store.client.list_multipart_uploads(site.bucket, prefix=name.key).uploads
    return [found]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_missing_upload_id_marker_loses_nothing(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start, size: int
) -> None:
    faulty_store.make_page = misreporting.without_upload_id_marker
    started = [start(key) for key in ("a", "b", "b", "b", "b", "c")]
    assert rows_of(walk(faulty_site, f"max-uploads={size}")) == Counter(started)


def test_truncated_page_without_markers_is_explained(faulty_site: Site, faulty_store: MisreportingStore) -> None:
    faulty_store.make_page = misreporting.truncated_and_empty
    page = faulty_site.listing()
    assert not page.link("next")
    assert "it gives no marker to continue from" in page.words
    page = faulty_site.listing("key-marker=a")
    assert not page.link("next")
    assert "it gives no marker to continue from" in page.words


def json_pages(site: Site, query: str = "") -> list[dict[str, Any]]:
    """The JSON of every page, as a script gets it that follows the markers while IsTruncated is true."""
    pages = [site.json(f"{site.links.uploads}?{query}").json]
    while pages[-1]["IsTruncated"]:
        assert len(pages) < 20
        markers = f"key-marker={quote(pages[-1]['NextKeyMarker'])}"
        markers += f"&upload-id-marker={quote(pages[-1]['NextUploadIdMarker'])}"
        pages.append(site.json(f"{site.links.uploads}?{query}&{markers}").json)
    return pages


def codes_of(page: dict[str, Any]) -> list[str]:
    return [note["Code"] for note in page["Notes"]]


@pytest.mark.parametrize(
    ("make_page", "code"),
    [
        (misreporting.back_and_forth, "NextMarkersDoNotAdvance"),
        (misreporting.truncated_and_empty, "NextMarkersMissing"),
    ],
)
def test_script_ends_if_markers_do_not_advance(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start, make_page: misreporting.MakePage, code: str
) -> None:
    """Truncated pages that cannot be continued: the JSON says so, and does not send a script back to them."""
    for key in "abc":
        start(key)
    faulty_store.make_page = make_page
    last = json_pages(faulty_site, "max-uploads=2")[-1]
    assert (last["NextKeyMarker"], last["NextUploadIdMarker"], last["NextPage"]) == ("", "", "")
    assert last["MayBeIncomplete"] is True
    assert codes_of(last) == [code]


def test_links_end_if_markers_lead_in_a_circle(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start
) -> None:
    """The next page of the HTML and of the JSON knows the pages before, also those that are not the last one."""
    started = [start(key) for key in "abcdef"]
    faulty_store.make_page = misreporting.in_a_circle
    pages = walk(faulty_site, "max-uploads=2")
    assert [page.rows for page in pages] == [started[:2], started[2:4], started[4:]]
    assert "markers lead back to an earlier page" in pages[-1].words
    page = faulty_site.json(f"{faulty_site.links.uploads}?max-uploads=2").json
    for _ in range(2):
        page = faulty_site.json(page["NextPage"]).json
    assert (page["IsTruncated"], page["NextPage"]) == (False, "")
    assert codes_of(page) == ["NextMarkersDoNotAdvance"]


def warnings_of(page: Page) -> list[Element]:
    return [each for each in page.find("div", "alert-warning") if not each.has("hidden")]


def test_pages_that_lose_uploads_say_so(faulty_site: Site, faulty_store: MisreportingStore, start: Start) -> None:
    """Every page of a listing that is known to lose uploads: full, empty, first and last, and the JSON."""
    started = [start(key) for key in "abcd"]
    faulty_store.make_page = misreporting.nothing_after_markers
    Store.objects.filter(name=faulty_site.store).update(overrides={"loses_pages": True})
    pages = walk(faulty_site, "max-uploads=2")
    assert [page.rows for page in pages] == [started[:2], []]
    assert all("pages of this store's listing leave out uploads" in page.words for page in pages)
    assert all(warnings_of(page) for page in pages)
    assert "No more uploads after this point" not in pages[1].words
    assert "No uploads in progress" not in faulty_site.listing("prefix=x").words
    for page in json_pages(faulty_site, "max-uploads=2"):
        assert page["MayBeIncomplete"] is True
        assert codes_of(page) == ["PagesLoseUploads"]
    Store.objects.filter(name=faulty_site.store).update(overrides={})
    assert not warnings_of(faulty_site.listing())


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("provider", ["generic", "seaweedfs"])
def test_pages_by_upload_id_alone_lose_nothing(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start, size: int, provider: str
) -> None:
    of_kind(faulty_site, provider)
    faulty_store.make_page = misreporting.like_seaweedfs
    started = Counter(start(key) for key in ("c", "a", "b", "b", "d/x"))
    pages = walk(faulty_site, f"max-uploads={size}")
    assert rows_of(pages) == started
    assert not any(shows_unlisted(page) for page in pages)
    found = json_pages(faulty_site, f"max-uploads={size}")
    assert Counter(each["UploadId"] for page in found for each in page["Uploads"]) == Counter(
        name.upload_id for name in started
    )


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_rows_of_garage_are_sorted(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start, operator: User, size: int
) -> None:
    """Pages are exact, so own uploads are expected on them."""
    of_kind(faulty_site, "garage")
    faulty_store.make_page = misreporting.like_garage
    started = [start(key) for key in ("a", "b", "b", "b-1", "b/1", "c", "d/x")]
    lost = start("bb")
    own(operator, Store.objects.get(name=faulty_site.store), faulty_site.bucket, lost)
    faulty_store.omitted = {lost.upload_id}
    pages = walk(faulty_site, f"max-uploads={size}")
    rows = [row for page in pages for row in page.rows]
    assert rows == sorted(started, key=lambda name: (name.key, name.upload_id))
    assert [key for page in pages for key in unlisted_keys(page)] == ["bb"]


def test_upload_is_found_by_its_exact_key_after_a_restart_of_minio(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start
) -> None:
    """Another client's upload that only a request with its whole key as the prefix still lists."""
    of_kind(faulty_site, "minio")
    forgotten, listed_still, beside = start("dir/forgotten"), start("dir/forgotten"), start("dir/forgotten-not")
    faulty_store.make_page = lambda uploads, query: (
        misreporting.like_minio(uploads, query)
        if query.prefix
        else misreporting.ListedPage([each for each in uploads if each.upload_id != forgotten.upload_id])
    )
    page = faulty_site.listing("prefix=dir/forgotten")
    assert [each.prefix for each in faulty_store.queries] == ["", "dir/forgotten"]
    assert Counter(page.rows) == Counter([forgotten, listed_still, beside])
    ids = {
        each["UploadId"]
        for each in faulty_site.json(f"{faulty_site.links.uploads}?prefix=dir/forgotten").json["Uploads"]
    }
    assert ids == {name.upload_id for name in (forgotten, listed_still, beside)}
    assert Counter(faulty_site.listing("prefix=dir/").rows) == Counter([listed_still, beside])
    folder = faulty_site.listing("prefix=dir/forgotten&delimiter=/")
    assert Counter(folder.rows) == Counter([forgotten, listed_still, beside])


def test_second_request_of_a_prefix_that_fails_is_reported(
    proxy: FaultProxy, make_store: Callable[..., Store], operator_client: Client, bucket: str, start: Start
) -> None:
    name = start("key")
    site = Site(operator_client, make_store(name="minio", endpoint_url=proxy.url, provider="minio").name, bucket)
    # The first request lists everything; the second has the prefix.
    proxy.latency = 0
    proxy.next("ListMultipartUploads", Fault.LATENCY, Fault.ACCESS_DENIED)
    page = site.listing("prefix=key")
    assert page.rows == [name]
    assert "could not be listed (AccessDenied, request id" in page.words


def test_partway_filters_by_prefix_where_the_store_takes_whole_keys(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start
) -> None:
    Store.objects.filter(name=faulty_site.store).update(overrides={"exact_prefix": True})
    faulty_store.make_page = misreporting.exact_keys_only
    started = [start(key) for key in ("a", "p", "pa", "pa", "pb/1", "pb/2", "q", "z")]
    having = Counter(name for name in started if name.key.startswith("p"))
    for size in (1, 2, 100):
        del faulty_store.queries[:]
        pages = walk(faulty_site, f"prefix=p&max-uploads={size}")
        assert rows_of(pages) == having
        assert all("only by their whole key" in page.words for page in pages)
        # Once, on the first page, the uploads whose whole key is the prefix are requested.
        assert [each.prefix for each in faulty_store.queries].count("p") == 1
        assert len(faulty_store.queries) == len(pages) + 1
        # The pages start and end with the prefix.
        assert len(pages) <= 5 // size + 2
        pages = walk(faulty_site, f"prefix=p&delimiter=/&max-uploads={size}")
        assert folder_names(pages) == ["pb/"]
        assert rows_of(pages) == Counter(name for name in having if "/" not in name.key)
    exact = faulty_site.get(faulty_site.listing("prefix=pa").href("Use the prefix as a whole key"))
    assert faulty_store.queries[-1].prefix == "pa"
    assert [row.key for row in exact.rows] == ["pa", "pa"]


def test_markers_do_not_show_what_is_outside_a_prefix_grant(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start
) -> None:
    Store.objects.filter(name=faulty_site.store).update(overrides={"exact_prefix": True})
    for key in ("a-secret", "granted/1", "granted/2", "z-secret"):
        start(key)
    user, client = User.objects.create(username="limited"), Client()
    grant(user, store=Store.objects.get(name=faulty_site.store), bucket=faulty_site.bucket, prefix="granted/")
    client.force_login(user)

    def listing(query: str) -> dict[str, Any]:
        body: dict[str, Any] = client.get(f"{faulty_site.links.uploads}?max-uploads=1&{query}", headers=JSON).json()
        return body

    for make_page in (misreporting.exact_keys_only, misreporting.like_seaweedfs):
        faulty_store.make_page = make_page
        first = listing("")
        for marker in (
            "key-marker=a-secres",
            "key-marker=b",
            "key-marker=z",
            "upload-id-marker=0",
            "upload-id-marker=~",
        ):
            assert listing(marker) == first, marker
    faulty_store.make_page = misreporting.exact_keys_only
    page = listing("")
    while page["IsTruncated"] and not page["Uploads"]:
        page = client.get(page["NextPage"], headers=JSON).json()
    assert [each["Key"] for each in page["Uploads"]] == ["granted/1"]
    assert [each["Key"] for each in client.get(page["NextPage"], headers=JSON).json()["Uploads"]] == ["granted/2"]


def test_listing_of_minio_is_filtered_and_grouped(
    faulty_site: Site, faulty_store: MisreportingStore, start: Start
) -> None:
    of_kind(faulty_site, "minio")
    faulty_store.make_page = misreporting.like_minio
    started = [start(key) for key in ("z", "dir/b", "a", "dir/a", "dir/sub/c")]
    page = faulty_site.listing("prefix=dir/")
    assert Counter(page.rows) == Counter(name for name in started if name.key.startswith("dir/"))
    folders = faulty_site.listing("delimiter=/")
    assert folder_names([folders]) == ["dir/"]
    assert {row.key for row in folders.rows} == {"z", "a"}
    # A page about one upload sends the whole key.
    faulty_site.get(faulty_site.links.part_summary(started[1]))
    assert faulty_store.queries[-1].prefix == "dir/b"


# --- Missing permissions and operations -------------------------------------------------------------------------------


@pytest.fixture
def proxy(any_store: RunningStore) -> Iterator[FaultProxy]:
    with FaultProxy(any_store.endpoint_url) as running:
        yield running


@pytest.fixture
def denied(proxy: FaultProxy, make_store: Callable[..., Store], operator_client: Client, bucket: str) -> Site:
    return Site(operator_client, make_store(name="denied", endpoint_url=proxy.url).name, bucket)


def test_without_permission_to_list_parts_no_page_fails(denied: Site, proxy: FaultProxy, start: Start) -> None:
    name = start("key")
    proxy.always("ListParts", Fault.ACCESS_DENIED)
    page = denied.listing()
    assert page.rows == [name]
    facts = denied.get(facts_urls(page)[0])
    assert facts.status == 200
    assert "not allowed" in facts.words
    assert "data-gone" not in facts.text


def test_without_permission_to_list_uploads_own_uploads_are_shown(
    denied: Site, proxy: FaultProxy, start: Start, operator: User
) -> None:
    name = start("key")
    own(operator, Store.objects.get(name="denied"), denied.bucket, name)
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    page = denied.listing()
    assert page.status == 403
    assert "AccessDenied" in page.words
    assert unlisted_keys(page) == ["key"]
    assert denied.get(page.details[0]).status == 200
    assert "Open an upload by key and upload id" in page.words
    assert denied.json(denied.links.uploads).status == 403


def test_api_without_the_operation_is_explained_first(
    operator_client: Client, make_store: Callable[..., Store], bucket: str, start: Start
) -> None:
    """A page or JSON that says that there is nothing, although Partway could not look."""
    store = make_store(name="ossish", provider="oss-s3", addressing="path")
    site = Site(operator_client, store.name, bucket)
    for query in ("", "prefix=x", "key-marker=x"):
        empty = site.listing(query)
        assert "Uploads cannot be listed here" in empty.words
        assert "No upload" not in empty.words
        assert "No more uploads" not in empty.words
        response = site.json(f"{site.links.uploads}?{query}").json
        assert (response["MayBeIncomplete"], codes_of(response)) == (True, ["ListingUnsupported"])
    name = start("key")
    page = site.listing()
    assert page.rows == [name]
    text = page.text[page.text.index("<main") :]
    assert text.index("has no operation that lists uploads") < text.index('name="prefix"')
    assert "Aliyun OSS" in text
    assert "https://oss-REGION.aliyuncs.com" in text


# --- Parts of completed uploads ---------------------------------------------------------------------------------------


def test_swift_keeps_listing_the_parts_of_completed_uploads(
    site: Site, start: Start, object_store: ObjectStoreClient, tmp_path: Path
) -> None:
    name = start("key")
    source = tmp_path / "part"
    source.write_bytes(b"x" * 1024)
    sent = object_store.upload_part(site.bucket, name.key, name.upload_id, 1, FileSlice(source, 0, 1024))
    page = site.listing()
    object_store.complete_multipart_upload(site.bucket, name.key, name.upload_id, [CompletedPart(1, sent.etag)])
    assert site.listing().rows == []
    # The facts of the row do not show it. The upload's page checks the listing as well, and shows it.
    assert "1.00 KiB" in site.get(facts_urls(page)[0]).words
    assert "listing does not show this upload" in site.get(site.links.part_summary(name)).words
    assert quote(name.key) in site.links.part_summary(name)
