"""The listing of a bucket's uploads: paging by links, folders, bad parameters, empty states, JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from django.test import Client

from dashboard.shared.parameters import write_upload
from dashboard.uploads.columns import FACTS, LISTED, TO_ABORT, table_of
from tests.dashboard.conftest import Start
from tests.dashboard.pages import Page, Site
from tests.stores.running import RunningStore
from tests.stores.swift import SwiftStore
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, MultipartUpload, StoreConfig, UploadRef
from uploads.services.browse import many_facts


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """Swift has keys that are no paths, and names several uploads of one key in pages."""
    return swift_store


def many_keys() -> Iterator[str]:
    """1,300 keys: folders, keys that are prefixes of each other, several uploads on one key."""
    yield from (f"dir{folder:02}/item{item:03}" for folder in range(20) for item in range(40))
    yield from ("p" * length for length in range(1, 101))
    yield from (key for folder in range(20) for key in (f"dir{folder:02}", f"dir{folder:02}/"))
    yield from (f"same {number}" for number in range(6) for _ in range(50))
    yield from (f"ümläut+{number}%2F/ x" for number in range(60))


@pytest.fixture(scope="module")
def crowd(any_store: RunningStore) -> tuple[str, Counter[UploadRef]]:
    """A bucket with 1,300 uploads in progress, and their names."""
    bucket = any_store.new_bucket()
    credentials = Credentials(any_store.access_key, any_store.secret_key)
    config = StoreConfig(any_store.endpoint_url, any_store.region, credentials, "swift")
    with ObjectStoreClient(config) as client, ThreadPoolExecutor(8) as pool:
        keys = list(many_keys())
        ids = pool.map(lambda key: client.create_multipart_upload(bucket, key), keys)
        return bucket, Counter(map(UploadRef, keys, ids))


def walk(site: Site, url: str, store_requests: list[str]) -> Iterator[Page]:
    """Every page from `url` on by its 'next' links. Each must cost exactly one request to the store."""
    while url:
        before = len(store_requests)
        page = site.get(url)
        assert page.status == 200
        assert len(store_requests) == before + 1
        yield page
        url = page.link("next")


def listed(site: Site, store_requests: list[str], size: int, query: str) -> tuple[Counter[UploadRef], list[str]]:
    """The uploads and folders of all pages, and of those of the folders."""
    seen: Counter[UploadRef] = Counter()
    waiting = [f"{site.links.uploads}?max-uploads={size}&{query}"]
    folders: list[str] = []
    while waiting:
        for page in walk(site, waiting.pop(), store_requests):
            seen.update(page.rows)
            folders += page.folders
            waiting += page.folders
            assert len(page.rows) <= size
            assert len(page.link("next")) < 4000
    return seen, folders


@pytest.mark.timeout(900)
@pytest.mark.parametrize("delimiter", ["", "/"])
# 37 divides neither the 40 keys of a folder nor the 50 uploads of a key.
@pytest.mark.parametrize("size", [37, 100, 1000])
def test_each_upload_is_listed_exactly_once(
    operator_client: Client,
    store: Store,
    crowd: tuple[str, Counter[UploadRef]],
    store_requests: list[str],
    size: int,
    delimiter: str,
) -> None:
    bucket, expected = crowd
    assert expected.total() == 1300
    site = Site(operator_client, store.name, bucket)
    seen, folders = listed(site, store_requests, size, f"delimiter={delimiter}")
    assert seen == expected
    # 20 directories, and one folder for each of the 60 keys with a slash of their own.
    assert len(folders) == len(set(folders)) == (80 if delimiter else 0)


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("prefix", ["dir07", "same 3"])
def test_each_upload_is_listed_exactly_once_on_the_smallest_pages(
    operator_client: Client,
    store: Store,
    crowd: tuple[str, Counter[UploadRef]],
    store_requests: list[str],
    prefix: str,
    delimiter: str,
) -> None:
    """Pages end inside a folder, between a key and its folder, and between the uploads of one key."""
    bucket, all_uploads = crowd
    site = Site(operator_client, store.name, bucket)
    seen, _folders = listed(site, store_requests, 2, f"prefix={quote(prefix)}&delimiter={delimiter}")
    assert seen == Counter({ref: count for ref, count in all_uploads.items() if ref.key.startswith(prefix)})
    assert seen.total() >= 40


def test_previous_link_leads_back_page_by_page(
    operator_client: Client, store: Store, crowd: tuple[str, Counter[UploadRef]], store_requests: list[str]
) -> None:
    bucket, _ = crowd
    site = Site(operator_client, store.name, bucket)
    forward = list(walk(site, f"{site.links.uploads}?max-uploads=40", store_requests))
    assert len(forward) >= 30
    page, back = forward[-1], [forward[-1]]
    while url := page.link("prev"):
        page = site.get(url)
        back.append(page)
    assert [page.rows for page in back] == [page.rows for page in reversed(forward)]
    assert not forward[0].link("prev")
    assert not forward[0].link("first")
    assert site.get(forward[9].link("first")).rows == forward[0].rows


def test_page_size_is_100_unless_given(
    operator_client: Client, store: Store, crowd: tuple[str, Counter[UploadRef]]
) -> None:
    site = Site(operator_client, store.name, crowd[0])
    assert len(site.listing().rows) == 100
    assert len(site.listing("max-uploads=1").rows) == 1


def test_select_all_without_javascript_selects_the_whole_page(site: Site, start: Start) -> None:
    start("one")
    start("two")
    page = site.listing()
    assert not [box for box in page.find("input", name="upload") if box.has("checked")]
    selected = site.get(page.href("Select all on this page"))
    assert len([box for box in selected.find("input", name="upload") if box.has("checked")]) == 2


def test_folders_and_the_way_back_up(site: Site, start: Start) -> None:
    start("a/b/c d/key")
    start("a/top")
    page = site.get(site.listing("delimiter=/").folders[0])
    assert [row.key for row in page.rows] == ["a/top"]
    inner = site.get(site.get(page.folders[0]).folders[0])
    assert [row.key for row in inner.rows] == ["a/b/c d/key"]
    up = site.get(inner.href("b/"))
    assert up.folders == [site.links.uploads + "?prefix=a%2Fb%2Fc+d%2F&delimiter=%2F"]


BAD = {
    "max-uploads=0": "1 to 1,000",
    "max-uploads=1001": "1 to 1,000",
    "max-uploads=-1": "1 to 1,000",
    "max-uploads=abc": "1 to 1,000",
    "max-uploads=1.5": "1 to 1,000",
    "max-uploads=%D9%A1": "1 to 1,000",
    "max-uploads=99999999999999999999999": "1 to 1,000",
    "max-uploads=5&max-uploads=6": "allowed once",
    "prefix=" + "x" * 1025: "at most 1,024",
    "prefix=" + quote("ü") * 513: "at most 1,024",
    "prefix=a%00b": "NUL",
    "prefix=%ff": "UTF-8",
    "delimiter=%00": "NUL",
    "key-marker=" + "x" * 1025: "at most 1,024",
    "key-marker=%00": "NUL",
    "key-marker=%ed%a0%80": "UTF-8",
    "key-marker=a&upload-id-marker=" + "x" * 1025: "at most 1,024",
    "key-marker=a&upload-id-marker=%00": "NUL",
    "trail=nonsense": "trail",
    "trail=W10": "trail",
    "trail=" + "A" * 5000: "at most",
}


@pytest.mark.parametrize("query", BAD)
def test_bad_parameter_is_refused_without_a_request(site: Site, store_requests: list[str], query: str) -> None:
    page = site.listing(query)
    assert page.status == 400
    assert BAD[query] in page.words
    response = site.json(f"{site.links.uploads}?{query}")
    assert response.status == 400
    assert response.json["error"]["code"] == "InvalidArgument"
    assert BAD[query] in response.json["error"]["message"]
    assert store_requests == []


def test_upload_id_marker_alone_is_accepted_and_reported_as_ignored(site: Site, start: Start) -> None:
    start("key")
    page = site.listing("upload-id-marker=abc")
    assert page.status == 200
    assert "Most stores ignore an upload-id-marker" in page.words
    assert len(page.rows) == 1


def test_empty_states_explain_themselves(site: Site, start: Start) -> None:
    assert "No uploads in progress" in site.listing().words
    start("key")
    assert "No upload in progress under this prefix" in site.listing("prefix=other").words
    assert "No more uploads after this point" in site.listing("key-marker=zzz").words


@pytest.mark.parametrize(
    ("changes", "status", "title", "code"),
    [
        ({"secret_key": "wrong"}, 502, "does not accept the credentials", "SignatureDoesNotMatch"),
        ({"endpoint_url": "http://127.0.0.1:1"}, 502, "cannot be reached", "Unreachable"),
    ],
)
def test_store_failure_is_explained_on_the_page(
    operator_client: Client,
    make_store: Callable[..., Store],
    bucket: str,
    changes: dict[str, str],
    status: int,
    title: str,
    code: str,
) -> None:
    site = Site(operator_client, make_store(**changes).name, bucket)
    page = site.listing()
    assert page.status == status
    assert title in page.words
    assert 'name="prefix"' in page.text
    assert "Open an upload by key and upload id" in page.words
    response = site.json(site.links.uploads)
    assert (response.status, response.json["error"]["code"]) == (status, code)


def test_no_such_bucket(operator_client: Client, store: Store) -> None:
    site = Site(operator_client, store.name, "never-created")
    page = site.listing()
    assert page.status == 404
    assert "There is no such bucket" in page.words
    error = site.json(site.links.uploads).json["error"]
    assert error["code"] == "NoSuchBucket"
    assert error["request_id"]


def test_json_has_the_same_facts_under_the_names_of_the_api(site: Site, start: Start) -> None:
    first, second = start("a/1"), start("a/2")
    start("b/1")
    response = site.json(f"{site.links.uploads}?prefix=a/&max-uploads=1").json
    assert response["Bucket"] == site.bucket
    assert (response["Prefix"], response["Delimiter"], response["MaxUploads"]) == ("a/", "", 1)
    assert (response["IsTruncated"], response["NextKeyMarker"]) == (True, "a/1")
    assert response["NextUploadIdMarker"] == first.upload_id
    (upload,) = response["Uploads"]
    assert (upload["Key"], upload["UploadId"]) == (first.key, first.upload_id)
    assert upload["Initiated"].endswith("Z")
    assert set(upload) == {"Key", "UploadId", "Initiated", "Initiator", "Owner", "StorageClass"}
    markers = f"key-marker={response['NextKeyMarker']}&upload-id-marker={response['NextUploadIdMarker']}"
    rest = site.json(f"{site.links.uploads}?prefix=a/&{markers}").json
    assert [upload["UploadId"] for upload in rest["Uploads"]] == [second.upload_id]
    assert rest["IsTruncated"] is False
    folders = site.json(f"{site.links.uploads}?delimiter=/").json
    assert folders["CommonPrefixes"] == [{"Prefix": "a/"}, {"Prefix": "b/"}]


def test_every_row_spans_all_columns(site: Site, start: Start) -> None:
    """The page, the facts and the confirmation of an abort derive their cells from `dashboard.uploads.columns`.

    Rows get the cells of the facts when they become visible.
    """
    names = [start("folder/key", {1: 10}), start("key"), start("other key")]
    page = site.listing("delimiter=/")
    heading, folder, *rows = widths(page)
    assert heading == folder == len(page.find("th", scope="col"))
    assert set(rows) == {heading - len(FACTS)}
    confirmation = site.post(site.links.abort_form, {"ask": "1", "upload": [write_upload(name) for name in names]})
    assert set(widths(confirmation)) == {len(TO_ABORT.columns), len(TO_ABORT.columns) - len(FACTS)}
    assert len(site.get(site.links.facts(names[0])).find("td")) == len(FACTS)
    gone = site.get(site.links.facts(UploadRef("key", "bm8"))).find("td")
    assert [cell.get("colspan") for cell in gone] == [str(len(FACTS))]


def widths(page: Page) -> list[int]:
    """The number of columns that each row of the page's table spans."""
    cells = page.find("th") + page.find("td")
    rows = [id(each) for each in page.find("tr")]
    return [sum(int(cell.get("colspan") or 1) for cell in cells if id(cell.parent) == row) for row in rows]


def test_json_fields_are_those_of_the_columns(site: Site, start: Start) -> None:
    start("key")
    (upload,) = site.json(site.links.uploads).json["Uploads"]
    assert set(upload) == {column.field for column in LISTED} | {"Owner"}


def test_facts_of_a_row(site: Site, start: Start) -> None:
    name = start("key", {1: 1024, 3: 10})
    facts = site.get(site.links.facts(name), **{"HX-Request": "true"})
    assert facts.text.lstrip().startswith("<td")
    assert "1.01 KiB" in facts.words
    assert "gap" in facts.words
    assert "recent" in facts.words
    gone = site.get(site.links.facts(UploadRef("key", "bm8")))
    assert gone.status == 200
    assert "gone" in gone.words


def test_disabled_store_is_visible_to_administrators_only(
    operator_client: Client, administrator_client: Client, make_store: Callable[..., Store], bucket: str
) -> None:
    store = make_store(enabled=False)
    assert Site(operator_client, store.name, bucket).listing().status == 404
    assert Site(administrator_client, store.name, bucket).listing().status == 200


def test_each_field_of_the_listing_has_a_short_text(site: Site) -> None:
    page = site.listing()
    for name in ("prefix", "delimiter", "max-uploads", "key-marker", "upload-id-marker"):
        (field,) = [each for each in page.find("input", name=name) if each.get("type") != "hidden"]
        (text,) = [each for each in page.elements if each.get("id") == field.get("aria-describedby")]
        assert text.text.strip()


MOST_ELEMENTS = 20_226 // 3
MOST_BYTES = 2_260_000 // 3
"""Of a page of 1,000 uploads: a third of what it had before its rows were one line each."""


@pytest.mark.timeout(900)
def test_page_of_1000_uploads_has_few_elements_and_bytes(
    operator_client: Client, store: Store, crowd: tuple[str, Counter[UploadRef]], store_requests: list[str]
) -> None:
    page = Site(operator_client, store.name, crowd[0]).listing("max-uploads=1000")
    assert len(page.rows) == 1000
    assert len(page.elements) <= MOST_ELEMENTS
    assert len(page.text.encode()) <= MOST_BYTES
    assert len(store_requests) == 1
    assert "Initiator of every row" in page.words
    assert page.find("th", "age-column")
    assert not page.find("th", "initiator-column")


def test_long_keys_need_one_more_element_each(site: Site, start: Start) -> None:
    names = [start(f"a/{'long' * 20}/{number}.bin", {1: 10}) for number in range(2)]
    page = site.listing()
    (link, _other) = [each for each in page.find("a") if each.parent and each.parent.tag == "th" and not each.classes]
    assert link.text == link.get("aria-label") == names[0].key
    assert names[0].upload_id in link.get("title")
    before = len(site.listing("prefix=none").elements)
    start("short")
    assert len(site.listing("prefix=short").elements) - before < len(page.elements) - before


def test_facts_of_many_rows_are_one_request(site: Site, start: Start, store_requests: list[str]) -> None:
    names = [start("a", {1: 1024}), start("b"), UploadRef("c", "bm8"), start("d", {1: 10, 3: 20})]
    before = len(store_requests)
    page = site.post(site.links.facts_base, {"upload": [*map(write_upload, names)], "unlisted": write_upload(names[3])})
    assert len(store_requests) == before + len(names)
    rows = page.find("tr")
    assert [row.get("data-bytes") for row in rows] == ["1024", "0", "", "30"]
    assert [row.get("data-parts") for row in rows] == ["1", "0", "", "2"]
    assert [row.has("data-gone") for row in rows] == [False, False, True, False]
    assert rows[0].get("data-active").isdigit()
    assert rows[1].get("data-active") == "none"
    assert ["still there" in row.text for row in rows] == [False, False, False, True]
    assert ["gap" in row.text for row in rows] == [False, False, False, True]


def test_facts_of_too_many_rows_are_refused(site: Site, store_requests: list[str]) -> None:
    names = [write_upload(UploadRef("key", f"id-{number}")) for number in range(51)]
    page = site.post(site.links.facts_base, {"upload": names})
    assert page.status == 400
    assert "At most 50 uploads" in page.words
    assert store_requests == []


def test_requests_for_facts_are_bounded(
    site: Site, start: Start, store_requests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that are left ask again: their part of the response is empty."""
    monkeypatch.setattr(many_facts, "MOST_REQUESTS", 2)
    monkeypatch.setattr(many_facts, "THREADS", 1)
    names = [start(key) for key in "abcd"]
    del store_requests[:]
    rows = site.post(site.links.facts_base, {"upload": [*map(write_upload, names)]}).find("tr")
    assert [row.has("data-later") for row in rows] == [False, False, True, True]
    assert len(store_requests) == 2


def test_columns_with_one_value_are_a_note() -> None:
    def upload(initiator: str, storage_class: str) -> MultipartUpload:
        return MultipartUpload("key", "id", None, initiator=initiator, storage_class=storage_class)

    same = table_of([upload("ann", ""), upload("ann", "")])
    assert [str(value) for _, value in same.same] == ["ann"]
    assert [column.css for column in same.listed] == ["age-column"]
    mixed = table_of([upload("ann", "STANDARD"), upload("ben", "STANDARD")])
    assert [value for _, value in mixed.same] == ["STANDARD"]
    assert mixed.css == "has-initiator-column"
