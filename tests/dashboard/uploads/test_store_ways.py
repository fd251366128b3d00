"""The ways of real stores, one by one, as an operator meets them on the listing page.

Ceph RADOS Gateway and Swift show them themselves; what neither does, a listing that lies does before the real Swift.
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

from tests.dashboard import lying
from tests.dashboard.conftest import Begin
from tests.dashboard.lying import LyingStore
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
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

FACTS = re.compile(r'hx-get="([^"]*facts[^"]*)"')
UNLISTED = "Not in the store&#x27;s listing", "Not in the store's listing"
LONG_AGO = timedelta(hours=2)


# Pages and rows.


def walk(site: Site, query: str = "") -> list[Page]:
    """Every page by its own 'next' links."""
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


def says_unlisted(page: Page) -> bool:
    return any(words in page.words for words in UNLISTED)


def unlisted_keys(page: Page) -> list[str]:
    """The keys of the rows below the heading of those that the store leaves out."""
    _, _, below = page.text.partition('class="group-head"')
    found = re.findall(r'<th scope="row"><a href="[^"]*[?&;]key=([^&"]*)', below)
    return [unquote(html.unescape(key)) for key in found]


def facts_urls(page: Page) -> list[str]:
    return [html.unescape(url) for url in FACTS.findall(page.words)]


# --- Ceph -------------------------------------------------------------------------------------------------------------


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


def begin_in(site: Site, *keys: str) -> list[UploadRef]:
    client = client_for(Store.objects.get(name=site.store))
    return [UploadRef(key, client.create_multipart_upload(site.bucket, key)) for key in keys]


def test_a_key_marker_alone_lists_strictly_after_it_on_ceph(ceph: Site) -> None:
    begin_in(ceph, "a", "a", "b")
    page = ceph.listing("key-marker=a")
    assert [row.key for row in page.rows] == ["b"]
    first, second = (row for row in ceph.listing().rows if row.key == "a")
    after = ceph.listing(f"key-marker=a&upload-id-marker={first.upload_id}")
    assert [row for row in after.rows if row.key == "a"] == [second]
    assert [row.key for row in after.rows] == ["a", "b"]


def test_a_key_with_more_uploads_than_a_page_is_walked_through_on_ceph(ceph: Site) -> None:
    begun = begin_in(ceph, *["same"] * 7, "same-1", "samez")
    assert rows_of(walk(ceph, "max-uploads=2")) == Counter(begun)
    # The marker's own key fills the first page: it is empty, and leads on.
    pages = walk(ceph, "key-marker=same&max-uploads=2")
    assert "More follows: go on to the next page" in pages[0].words
    assert (pages[0].rows, pages[-1].rows[-1].key) == ([], "samez")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_folders_are_made_here_where_cephs_vanish(ceph: Site, store_requests: list[str], size: int) -> None:
    begun = begin_in(
        ceph, "dir", "dir", "dir-x", "dir.x", "dir/", "dir/a", "dir/b/c", "dir/b/d", "other/x", "top", "é/1"
    )
    pages = walk(ceph, f"delimiter=/&max-uploads={size}")
    assert all("Folders are made here" in page.words for page in pages)
    assert rows_of(pages) == Counter(name for name in begun if "/" not in name.key)
    assert sorted(folder_names(pages)) == ["dir/", "other/", "é/"]
    inside = walk(ceph, f"delimiter=/&prefix=dir/&max-uploads={size}")
    assert sorted(row.key for row in rows_of(inside).elements()) == ["dir/", "dir/a"]
    assert folder_names(inside) == ["dir/b/"]
    assert sorted(row.key for row in rows_of(walk(ceph, f"delimiter=/&prefix=dir/b/&max-uploads={size}"))) == [
        "dir/b/c",
        "dir/b/d",
    ]
    assert not [each for each in store_requests if "delimiter=" in each]


def test_a_delimiter_of_two_characters_and_cephs_own_dot(ceph: Site) -> None:
    begun = begin_in(ceph, "a", "a--b", "a--c", "a-b", "a.b", "a.c")
    pages = walk(ceph, "delimiter=--&max-uploads=1")
    assert rows_of(pages) == Counter(name for name in begun if "--" not in name.key)
    assert folder_names(pages) == ["a--"]
    # Ceph sorts by key.id, so uploads of `a` lie among those of the folder `a.`: none is jumped over.
    pages = walk(ceph, "delimiter=.&max-uploads=1")
    assert rows_of(pages) == Counter(name for name in begun if "." not in name.key)
    assert set(folder_names(pages)) == {"a."}


def test_a_large_folder_costs_one_page_on_ceph(ceph: Site, store_requests: list[str]) -> None:
    begin_in(ceph, *(f"big/{number:02}" for number in range(40)), "a", "z")
    del store_requests[:]
    pages = walk(ceph, "delimiter=/&max-uploads=5")
    assert folder_names(pages) == ["big/"]
    assert [row.key for row in rows_of(pages)] == ["a", "z"]
    assert len(pages) == len(store_requests) == 2
    back = ceph.get(pages[1].link("prev"))
    assert (back.rows, back.folders) == (pages[0].rows, pages[0].folders)


def test_markers_that_ceph_leaves_raw_are_taken_as_they_are(ceph: Site) -> None:
    begun = begin_in(ceph, "a b", "a%20b", "a+b", "a%2Fb", "a&b<c>", "ü", "ü%C3%BC", "?#", "100%")
    assert rows_of(walk(ceph, "max-uploads=1")) == Counter(begun)
    begun += begin_in(ceph, "p%2Fq/1", "p q/1")
    assert sorted(folder_names(walk(ceph, "delimiter=/&max-uploads=1"))) == ["p q/", "p%2Fq/"]


def test_a_control_character_does_not_break_cephs_page(ceph: Site) -> None:
    begun = begin_in(ceph, "before", "bad\x01key", "bad\x1fkey", "line\nfeed", "tab\tkey", "zzz")
    assert rows_of([ceph.listing()]) == Counter(begun)
    assert rows_of(walk(ceph, "max-uploads=1")) == Counter(begun)
    page = ceph.listing("prefix=bad%01")
    assert [row.key for row in page.rows] == ["bad\x01key"]
    assert ceph.get(page.details[0]).status == 200
    assert "no parts" in ceph.get(facts_urls(page)[0]).text


def test_cephs_no_such_key_of_list_parts_is_an_upload_that_is_gone(ceph: Site) -> None:
    (name,) = begin_in(ceph, "key")
    page = ceph.listing()
    client_for(Store.objects.get(name="ceph")).abort_multipart_upload(ceph.bucket, name.key, name.upload_id)
    facts = ceph.get(facts_urls(page)[0])
    assert facts.status == 200
    assert "data-gone" in facts.text
    detail = ceph.get(page.details[0])
    assert detail.status == 404
    assert "Already completed or aborted" in detail.words
    assert "NoSuchKey" in detail.words


@pytest.mark.parametrize("size", [1, 2, 5])
def test_cephs_order_by_key_and_upload_id(ceph: Site, size: int) -> None:
    begun = begin_in(ceph, "report", "report", "report-1", "report.csv", "report.1", "report/x", "reporter")
    pages = walk(ceph, f"max-uploads={size}")
    assert rows_of(pages) == Counter(begun)
    keys = [row.key for page in pages for row in page.rows]
    assert keys.index("report-1") < keys.index("report.1") < keys.index("report") < keys.index("report.csv")
    assert walk_back(ceph, pages[-1]) == [page.rows for page in reversed(pages)]


def walk_back(site: Site, page: Page) -> list[list[UploadRef]]:
    found = [page.rows]
    while url := page.link("prev"):
        page = site.get(url)
        found.append(page.rows)
    return found


def test_uploads_begun_here_stand_on_cephs_pages_as_ceph_sorts_them(ceph: Site, operator: User) -> None:
    """None of them is taken for forgotten, wherever pages end."""
    store = Store.objects.get(name="ceph")
    for name in begin_in(
        ceph, "a", "a", "a-b", "a b", "a.1", "a.z", "a/x", "a/y", "ab", "a..m", "é", "\U0001f600", "A"
    ):
        own(operator, store, ceph.bucket, name)
    for query in ("", "delimiter=/", "prefix=a", "key-marker=a", "prefix=a&delimiter=."):
        for size in (1, 2, 3, 100):
            pages = walk(ceph, f"{query}&max-uploads={size}")
            assert not [page.words for page in pages if says_unlisted(page)], (query, size)


# --- Swift ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
def test_swifts_order_by_key_and_upload_id(site: Site, begin: Begin, size: int) -> None:
    keys = ("report", "report", "report.csv", "report-1", "report/x", "reporter")
    begun = [begin(key) for key in keys]
    pages = walk(site, f"max-uploads={size}")
    assert rows_of(pages) == Counter(begun)
    shown = [row.key for page in pages for row in page.rows]
    assert shown.index("report-1") < shown.index("report.csv") < shown.index("report") < shown.index("reporter")
    assert walk_back(site, pages[-1]) == [page.rows for page in reversed(pages)]


def test_swifts_pages_of_one_upload_give_no_markers_and_lead_on(
    site: Site, begin: Begin, object_store: ObjectStoreClient
) -> None:
    begun = [begin(key) for key in ("a", "a", "a/b", "c")]
    first = object_store.list_multipart_uploads(site.bucket, max_uploads=1)
    assert first.is_truncated
    assert not first.next_key_marker
    assert rows_of(walk(site, "max-uploads=1")) == Counter(begun)
    inside = walk(site, "prefix=a/&max-uploads=1")
    assert [row.key for row in rows_of(inside).elements()] == ["a/b"]


def test_swifts_exact_fit_ends_with_a_page_that_says_so(site: Site, begin: Begin) -> None:
    begun = [begin(key) for key in "abcd"]
    pages = walk(site, "max-uploads=2")
    assert [len(page.rows) for page in pages] == [2, 2, 0]
    assert rows_of(pages) == Counter(begun)
    assert "No more uploads after this point" in pages[-1].words
    assert walk_back(site, pages[-1])[1:] == [pages[1].rows, pages[0].rows]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_swifts_repeated_common_prefixes_are_shown_once(
    site: Site, begin: Begin, object_store: ObjectStoreClient, size: int
) -> None:
    begun = [begin(key) for key in ("a", "b/1", "b/2", "c", "d/1", "e", "f")]
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
    assert rows_of(pages) == Counter(name for name in begun if "/" not in name.key)
    assert not any("Folders are made here" in page.words for page in pages)


def test_uploads_begun_here_stand_on_swifts_pages_as_swift_sorts_them(
    site: Site, begin: Begin, operator: User, store: Store
) -> None:
    for key in ("a", "a", "a-b", "a b", "a.1", "a/x", "a/y", "ab", "é", "A", "a//", "a/x/y"):
        own(operator, store, site.bucket, begin(key))
    for query in ("", "delimiter=/", "prefix=a", "key-marker=a", "prefix=a/&delimiter=/"):
        for size in (1, 2, 3, 100):
            pages = walk(site, f"{query}&max-uploads={size}")
            assert not [page.words for page in pages if says_unlisted(page)], (query, size)


# --- Versity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_versitys_own_pair_of_markers_is_put_so_that_it_takes_it(
    db: None, versity_store: S3Store, operator_client: Client, operator: User, size: int
) -> None:
    """It looks for the upload id behind the key marker, and lists the uploads of a key by the time they began."""
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
    begun = begin_in(site, "a", "b", "b", "b", "b", "b", "b.x", "c/d", "c/e", "é", "é")
    for name in begun:
        own(operator, store, site.bucket, name)
    pages = walk(site, f"max-uploads={size}")
    assert rows_of(pages) == Counter(begun)
    assert not [page.words for page in pages if says_unlisted(page)]
    pages = walk(site, f"delimiter=/&max-uploads={size}")
    assert folder_names(pages) == ["c/"]
    assert rows_of(pages) == Counter(name for name in begun if "/" not in name.key)
    assert not [page.words for page in pages if says_unlisted(page)]


# --- Listings that lie: what no store here does -----------------------------------------------------------------------


@pytest.fixture
def liar(object_store: ObjectStoreClient, swift_store: SwiftStore) -> Iterator[LyingStore]:
    with lying.lying(object_store, swift_store.endpoint_url) as store:
        yield store


@pytest.fixture
def lied(liar: LyingStore, make_store: Callable[..., Store], operator_client: Client, bucket: str) -> Site:
    """The bucket of the site, as a listing that lies has it."""
    return Site(operator_client, make_store(name="liar", endpoint_url=liar.url, provider="generic").name, bucket)


def of_kind(site: Site, provider: str) -> None:
    Store.objects.filter(name=site.store).update(provider=provider)


def own(owner: User, store: Store, bucket: str, name: UploadRef, **values: Any) -> StoreUpload:
    """Write an upload down as one that a transfer began two hours ago."""
    transfer = make_transfer(owner, store, bucket=bucket, key=name.key, **values)
    row = StoreUpload.objects.create(transfer=transfer, upload_id=name.upload_id)
    StoreUpload.objects.filter(pk=row.pk).update(created_at=timezone.now() - LONG_AGO)
    return row


@pytest.fixture
def begun_here(lied: Site, begin: Begin, operator: User) -> Callable[..., UploadRef]:
    """Begin an upload in the real store, and have it be one of ours."""
    store = Store.objects.get(name=lied.store)

    def begin_own(key: str, **values: Any) -> UploadRef:
        name = begin(key, {1: 1024})
        own(operator, store, lied.bucket, name, **values)
        return name

    return begin_own


def test_what_the_listing_forgets_is_shown_and_marked(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef], begin: Begin, store_requests: list[str]
) -> None:
    seen, lost, strange = begun_here("seen"), begun_here("lost"), begin("strange")
    page = lied.listing()
    assert not says_unlisted(page)
    liar.forgotten = {lost.upload_id, strange.upload_id}
    del store_requests[:]
    page = lied.listing()
    # One for the page; the other is that of the liar, who asks the store behind.
    assert [each for each in store_requests if each.startswith(f"GET {liar.url}")] == store_requests[:1]
    assert len(store_requests) == 2
    assert page.rows == [seen]
    assert says_unlisted(page)
    assert unlisted_keys(page) == ["lost"]
    answer = lied.json(lied.links.uploads).json
    assert [each["UploadId"] for each in answer["Uploads"]] == [seen.upload_id]
    (unlisted,) = answer["Unlisted"]
    assert (unlisted["Key"], unlisted["UploadId"]) == ("lost", lost.upload_id)
    assert set(unlisted) == set(answer["Uploads"][0])
    assert answer["UnlistedIsTruncated"] is False


def test_its_facts_say_whether_it_is_still_there(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef], object_store: ObjectStoreClient
) -> None:
    lost = begun_here("lost")
    liar.forgotten = {lost.upload_id}
    page = lied.listing()
    (url,) = facts_urls(page)
    facts = lied.get(url)
    assert "still there" in facts.words
    assert "1.00 KiB" in facts.words
    assert lied.get(page.details[0]).status == 200
    object_store.abort_multipart_upload(lied.bucket, lost.key, lost.upload_id)
    assert "data-gone" in lied.get(url).text
    assert lied.get(page.details[0]).status == 404


def test_an_empty_listing_of_a_store_that_forgets_shows_them_too(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef]
) -> None:
    of_kind(lied, "minio")
    liar.make_page = lying.like_minio
    lost = begun_here("lost")
    liar.forgotten = {lost.upload_id}
    page = lied.listing()
    assert unlisted_keys(page) == ["lost"]
    assert "may leave out uploads" in page.words
    StoreUpload.objects.update(state=StoreUploadState.GONE)
    assert "No uploads are listed" in lied.listing().text


def test_what_is_forgotten_stands_on_the_page_where_it_belongs(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef], begin: Begin
) -> None:
    lost = [begun_here(key) for key in ("a", "bb", "m", "zz")]
    for key in ("b", "c", "l", "n", "y"):
        begin(key)
    liar.forgotten = {name.upload_id for name in lost}
    pages = walk(lied, "max-uploads=2")
    assert [unlisted_keys(page) for page in pages] == [["a", "bb"], ["m"], ["zz"]]
    assert [unlisted_keys(page) for page in walk(lied, "prefix=b")] == [["bb"]]
    assert [unlisted_keys(page) for page in walk(lied, "key-marker=m")] == [["zz"]]


def test_a_folder_that_is_forgotten_is_shown_as_one(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef], begin: Begin
) -> None:
    of_kind(lied, "minio")
    liar.make_page = lying.like_minio
    lost = [begun_here("dir/lost"), begun_here("seen/lost"), begun_here("top")]
    begin("seen/kept")
    liar.forgotten = {name.upload_id for name in lost}
    page = lied.listing("delimiter=/")
    assert folder_names([page]) == ["seen/", "dir/"]
    assert unlisted_keys(page) == ["top"]
    assert unlisted_keys(lied.get(page.folders[1])) == ["dir/lost"]
    answer = lied.json(f"{lied.links.uploads}?delimiter=/").json
    assert answer["CommonPrefixes"] == [{"Prefix": "seen/"}]
    assert answer["UnlistedPrefixes"] == [{"Prefix": "dir/"}]


def test_what_began_a_moment_ago_or_is_about_to_end_is_not_missed(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef]
) -> None:
    names = [
        begun_here("completing", phase=Phase.COMPLETING),
        begun_here("cancelled", desired_state=DesiredState.CANCEL),
        begun_here("new"),
        begun_here("failed", phase=Phase.FAILED),
    ]
    StoreUpload.objects.filter(transfer__key="new").update(created_at=timezone.now())
    liar.forgotten = {name.upload_id for name in names}
    assert unlisted_keys(lied.listing()) == ["failed"]


def test_not_more_than_200_are_shown_and_that_is_said(lied: Site, operator: User) -> None:
    store = Store.objects.get(name=lied.store)
    for number in range(MAX_UNLISTED + 1):
        own(operator, store, lied.bucket, UploadRef(f"lost {number:03}", f"id-{number}"))
    page = lied.listing()
    assert unlisted_keys(page) == [f"lost {number:03}" for number in range(MAX_UNLISTED)]
    assert "Only the first 200 are shown" in page.words
    assert lied.json(lied.links.uploads).json["UnlistedIsTruncated"] is True
    assert unlisted_keys(lied.listing("prefix=lost 200")) == ["lost 200"]


def test_without_an_order_what_is_missing_stands_on_the_last_page(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef], begin: Begin
) -> None:
    Store.objects.filter(name=lied.store).update(overrides={"order": "none"})
    lost = begun_here("a")
    for key in "bcd":
        begin(key)
    liar.forgotten = {lost.upload_id}
    pages = walk(lied, "max-uploads=2")
    assert [unlisted_keys(page) for page in pages] == [[], ["a"]]
    assert "may be on other pages" in pages[1].words
    assert "lists in no order" in pages[0].words


def test_other_buckets_and_stores_are_not_mixed_in(
    lied: Site, liar: LyingStore, operator: User, store: Store, swift_store: SwiftStore
) -> None:
    here = Store.objects.get(name=lied.store)
    own(operator, here, swift_store.new_bucket(), UploadRef("other bucket", "1"))
    own(operator, store, lied.bucket, UploadRef("other store", "2"))
    ended = own(operator, here, lied.bucket, UploadRef("ended", "3"))
    StoreUpload.objects.filter(pk=ended.pk).update(state=StoreUploadState.GONE)
    assert not says_unlisted(lied.listing())


def test_a_row_that_was_aborted_here_and_is_listed_still_says_so_at_once(
    lied: Site, liar: LyingStore, begin: Begin, operator: User
) -> None:
    name, alive = begin("aborted"), begin("alive")
    store = Store.objects.get(name=lied.store)
    liar.kept = listed(lied, liar, name)
    operation = request_abort(operator, store, lied.bucket, [name])
    for item in OperationItem.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True):
        run_item(item)
    page = lied.listing()
    assert page.rows == [alive]
    assert "aborted here" in page.words
    assert "the store still lists it" in page.words
    assert f'href="/operations/{operation.pk}/"' in page.text
    assert [unquote(url) for url in facts_urls(page)] == [unquote(lied.links.facts(alive))]
    answer = lied.json(lied.links.uploads).json
    assert {each["Key"] for each in answer["Uploads"]} == {"aborted", "alive"}


def test_a_row_that_a_transfer_completed_and_is_listed_still_says_so_at_once(
    lied: Site, liar: LyingStore, begun_here: Callable[..., UploadRef]
) -> None:
    name = begun_here("done", phase=Phase.DONE, finished_at=timezone.now() - timedelta(minutes=3))
    StoreUpload.objects.update(state=StoreUploadState.COMPLETED)
    page = lied.listing()
    assert page.rows == []
    assert "completed here" in page.words
    assert "3 minutes ago" in page.words
    assert "Abort selected" not in page.words
    transfer = StoreUpload.objects.get(upload_id=name.upload_id).transfer_id
    assert f'href="/transfers/{transfer}/"' in page.text


def test_another_row_that_is_gone_is_marked_when_that_is_seen(
    lied: Site, liar: LyingStore, begin: Begin, object_store: ObjectStoreClient
) -> None:
    name = begin("elsewhere")
    liar.kept = listed(lied, liar, name)
    object_store.abort_multipart_upload(lied.bucket, name.key, name.upload_id)
    page = lied.listing()
    assert page.rows == [name]
    facts = lied.get(facts_urls(page)[0])
    assert "data-gone" in facts.text
    assert "the store still listed it" in facts.words


def listed(site: Site, liar: LyingStore, name: UploadRef) -> list[MultipartUpload]:
    (found,) = liar.client.list_multipart_uploads(site.bucket, prefix=name.key).uploads
    return [found]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_missing_upload_id_marker_loses_nothing(lied: Site, liar: LyingStore, begin: Begin, size: int) -> None:
    liar.make_page = lying.without_upload_id_marker
    begun = [begin(key) for key in ("a", "b", "b", "b", "b", "c")]
    assert rows_of(walk(lied, f"max-uploads={size}")) == Counter(begun)


def test_a_truncated_page_that_leads_nowhere_says_so(lied: Site, liar: LyingStore) -> None:
    liar.make_page = lying.truncated_and_empty
    page = lied.listing()
    assert not page.link("next")
    assert "it names no place to go on from" in page.words
    page = lied.listing("key-marker=a")
    assert not page.link("next")
    assert "it names no place to go on from" in page.words


def test_a_prefix_is_looked_for_here_where_the_store_takes_whole_keys(
    lied: Site, liar: LyingStore, begin: Begin
) -> None:
    Store.objects.filter(name=lied.store).update(overrides={"exact_prefix": True})
    liar.make_page = lying.exact_keys_only
    begun = [begin(key) for key in ("a", "p", "pa", "pa", "pb/1", "pb/2", "q", "z")]
    having = Counter(name for name in begun if name.key.startswith("p"))
    for size in (1, 2, 100):
        del liar.queries[:]
        pages = walk(lied, f"prefix=p&max-uploads={size}")
        assert rows_of(pages) == having
        assert all("only by their whole key" in page.words for page in pages)
        assert not any(each.prefix for each in liar.queries)
        # It begins and ends where the prefix does.
        assert len(pages) <= 5 // size + 2
        pages = walk(lied, f"prefix=p&delimiter=/&max-uploads={size}")
        assert folder_names(pages) == ["pb/"]
        assert rows_of(pages) == Counter(name for name in having if "/" not in name.key)
    exact = lied.get(lied.listing("prefix=pa").href("Take the prefix for a whole key"))
    assert liar.queries[-1].prefix == "pa"
    assert [row.key for row in exact.rows] == ["pa", "pa"]


def test_minios_listing_is_narrowed_and_grouped(lied: Site, liar: LyingStore, begin: Begin) -> None:
    of_kind(lied, "minio")
    liar.make_page = lying.like_minio
    begun = [begin(key) for key in ("z", "dir/b", "a", "dir/a", "dir/sub/c")]
    page = lied.listing("prefix=dir/")
    assert Counter(page.rows) == Counter(name for name in begun if name.key.startswith("dir/"))
    folders = lied.listing("delimiter=/")
    assert folder_names([folders]) == ["dir/"]
    assert {row.key for row in folders.rows} == {"z", "a"}
    # A page about one upload asks with its whole key.
    lied.get(lied.links.part_summary(begun[1]))
    assert liar.queries[-1].prefix == "dir/b"


# --- Less than is needed ----------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(swift_store: SwiftStore) -> Iterator[FaultProxy]:
    with FaultProxy(swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def denied(proxy: FaultProxy, make_store: Callable[..., Store], operator_client: Client, bucket: str) -> Site:
    return Site(operator_client, make_store(name="denied", endpoint_url=proxy.url).name, bucket)


def test_without_leave_to_list_parts_the_cells_are_quiet_and_no_page_fails(
    denied: Site, proxy: FaultProxy, begin: Begin
) -> None:
    name = begin("key")
    proxy.always("ListParts", Fault.ACCESS_DENIED)
    page = denied.listing()
    assert page.rows == [name]
    facts = denied.get(facts_urls(page)[0])
    assert facts.status == 200
    assert "not allowed" in facts.words
    assert "data-gone" not in facts.text


def test_without_leave_to_list_uploads_those_begun_here_are_shown(
    denied: Site, proxy: FaultProxy, begin: Begin, operator: User
) -> None:
    name = begin("key")
    own(operator, Store.objects.get(name="denied"), denied.bucket, name)
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    page = denied.listing()
    assert page.status == 403
    assert "AccessDenied" in page.words
    assert unlisted_keys(page) == ["key"]
    assert denied.get(page.details[0]).status == 200
    assert "Open an upload by key and upload id" in page.words
    assert denied.json(denied.links.uploads).status == 403


def test_an_api_without_the_operation_is_said_before_anything_else(
    operator_client: Client, make_store: Callable[..., Store], bucket: str, begin: Begin
) -> None:
    name = begin("key")
    store = make_store(name="ossish", provider="oss-s3", addressing="path")
    page = Site(operator_client, store.name, bucket).listing()
    assert page.rows == [name]
    text = page.text[page.text.index("<main") :]
    assert text.index("has no operation that lists uploads") < text.index('name="prefix"')
    assert "Aliyun OSS" in text
    assert "https://oss-REGION.aliyuncs.com" in text


# --- Parts of completed uploads ---------------------------------------------------------------------------------------


def test_swift_goes_on_listing_parts_of_what_was_completed(
    site: Site, begin: Begin, object_store: ObjectStoreClient, tmp_path: Path
) -> None:
    name = begin("key")
    source = tmp_path / "part"
    source.write_bytes(b"x" * 1024)
    sent = object_store.upload_part(site.bucket, name.key, name.upload_id, 1, FileSlice(source, 0, 1024))
    page = site.listing()
    object_store.complete_multipart_upload(site.bucket, name.key, name.upload_id, [CompletedPart(1, sent.etag)])
    assert site.listing().rows == []
    # The row's facts cannot tell; the upload's page looks into the listing as well, and says so.
    assert "1.00 KiB" in site.get(facts_urls(page)[0]).text
    assert "listing does not show this upload" in site.get(site.links.part_summary(name)).text.replace("&#x27;", "'")
    assert quote(name.key) in site.links.part_summary(name)
