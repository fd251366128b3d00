"""The main jobs on every server: send a file; browse uploads, open one, abort some and complete one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.site import Site
from tests.stores.servers import KINDS, Server, server_of
from tests.system.direct_store import DirectStore, part_bytes
from tests.system.stack import MIB, Stack
from uploads.objectstore.errors import ObjectStoreError, Reason

SMALLEST = 5 * MIB

OF_STACK = "versity"
"""The server of the store of the stack."""

INCLUSIVE = "lists the upload of both markers again"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, stack: Stack) -> Server:
    return server_of(request, {OF_STACK: stack.server})


@pytest.fixture
def direct_store(server: Server, stack: Stack, added_stores: dict[str, DirectStore]) -> DirectStore:
    """The server as a store of the dashboard."""
    if server.name == OF_STACK:
        return stack.direct_store
    if server.name not in added_stores:
        # The name sorts after that of the embedded store, which must stay the first and so the selected one.
        passes = not server.does("refuses other bytes for a part that was sent")
        added_stores[server.name] = stack.add_store(
            f"on-{server.name}", server.config(), server.store.new_bucket, passes=passes
        )
    return added_stores[server.name]


@pytest.fixture(scope="module")
def added_stores() -> dict[str, DirectStore]:
    """The added stores by the names of their servers."""
    return {}


@pytest.fixture
def open_site(open_site: OpenSite, direct_store: DirectStore) -> OpenSite:
    """Open the site, where pages of uploads are those of the server."""

    def open_(**options: Any) -> Site:
        site = open_site(**options)
        site.store = direct_store.name
        return site

    return open_


@pytest.fixture
def bucket(direct_store: DirectStore) -> str:
    return direct_store.new_bucket()


def fill(server: Server, direct_store: DirectStore, bucket: str, keys: list[str]) -> list[str]:
    """Start an upload for each key; the keys in the order in which the server lists them."""
    uploads = [(key, direct_store.client.create_multipart_upload(bucket, key)) for key in keys]
    by_id = server.does("orders uploads by upload id")
    return [key for key, _ in sorted(uploads, key=lambda upload: upload[1] if by_id else upload[0])]


def test_a_file_of_three_parts_is_sent_and_followed(
    site: Site, bucket: str, direct_store: DirectStore, tmp_path: Path
) -> None:
    """A file of three parts is sent from the browser and followed until it is done; the object is the file"""
    path, page = tmp_path / "a file.bin", site.page
    digest = write_file(path, 2 * SMALLEST + 1234)
    site.select_file(bucket, path, prefix="inbox/", part_size="5 MiB", metadata="owner: ops")
    expect(page.locator("#plan")).to_contain_text("10.0 MiB in 3 parts of 5.00 MiB")
    Line(page).slow_down(8 * MIB)
    site.send()
    row = site.file("inbox/a file.bin")
    expect(row.locator("[data-part=received-percent]")).to_have_text(re.compile(r"^[1-9][0-9]? ?%$"))
    site.wait_for_transfer("done")
    expect(page.locator("#transfer-state")).to_contain_text("verified by HEAD")
    expect(page.locator("#transfer-live")).to_contain_text("3 of 3 parts")
    assert direct_store.object_digest(bucket, "inbox/a file.bin") == (path.stat().st_size, digest)
    assert direct_store.client.head_object(bucket, "inbox/a file.bin").metadata["owner"] == "ops"
    assert direct_store.uploads_in(bucket) == []


def test_from_the_overview_to_the_uploads_of_a_bucket(
    server: Server, site: Site, bucket: str, direct_store: DirectStore
) -> None:
    fill(server, direct_store, bucket, ["a/one"])
    site.page.goto("/")
    expect(site.page.locator(f".store-state[hx-get='/stores/{direct_store.name}/state/']")).to_contain_text("reachable")
    site.follow(site.page.locator("#overview-stores").get_by_role("link", name=direct_store.name, exact=True))
    site.follow(site.page.get_by_role("link", name=bucket, exact=True))
    assert site.listed_keys == ["a/one"]


def test_listing_is_paged_to_its_end_and_back(
    server: Server, site: Site, bucket: str, direct_store: DirectStore
) -> None:
    """The listing is paged to its end and back"""
    keys = [f"key-{number:02}" for number in range(23)]
    ordered = fill(server, direct_store, bucket, [*keys, "key-11", "key-11"])
    site.open_listing(bucket, max_uploads=6)
    pages = [site.listed_keys]
    while (following := site.page.get_by_role("link", name="Next")).count():
        site.follow(following)
        pages.append(site.listed_keys)
    listed = [key for page in pages for key in page]
    assert listed == ordered
    assert [len(page) for page in pages] == ([6, 5, 5, 5, 4] if server.does(INCLUSIVE) else [6, 6, 6, 6, 1])
    for expected in reversed(pages[:-1]):
        site.follow("Previous")
        assert site.listed_keys == expected
    assert site.page.get_by_role("link", name="Previous").count() == 0


def test_a_page_can_be_shared_and_leads_to_the_first(
    server: Server, open_site: OpenSite, bucket: str, direct_store: DirectStore
) -> None:
    ordered = fill(server, direct_store, bucket, [f"key-{number}" for number in range(6)])
    site, other = open_site(), open_site()
    site.open_listing(bucket, max_uploads=2)
    site.follow("Next")
    site.follow("Next")
    other.page.goto(site.page.url)
    assert other.listed_keys == (ordered[3:4] if server.does(INCLUSIVE) else ordered[4:])
    other.follow("First")
    assert other.listed_keys == ordered[:2]


def test_folders_are_walked_into_and_left_by_the_breadcrumb(
    server: Server, site: Site, bucket: str, direct_store: DirectStore
) -> None:
    keys = ["logs/2026/a b.gz", "logs/2026/c+d.gz", "logs/top.gz", "photos/Zürich/1.jpg", "root"]
    ordered = fill(server, direct_store, bucket, keys)
    site.open_listing(bucket)
    site.follow("Folders")
    assert (site.folders, site.listed_keys) == (["logs/", "photos/"], ["root"])
    site.follow("logs/")
    assert (site.folders, site.listed_keys) == (["2026/"], ["logs/top.gz"])
    site.follow("2026/")
    assert site.listed_keys == [key for key in ordered if key.startswith("logs/2026/")]
    trail = site.page.get_by_role("navigation", name="Breadcrumb")
    site.follow(trail.get_by_role("link", name="logs/"))
    assert site.folders == ["2026/"]
    site.follow(trail.get_by_role("link", name=bucket))
    assert site.folders == ["logs/", "photos/"]
    site.follow("photos/")
    assert site.folders == ["Zürich/"]


def test_rows_learn_their_parts_late(
    server: Server, site: Site, bucket: str, direct_store: DirectStore, tmp_path: Path
) -> None:
    direct_store.create_upload(bucket, "with-parts", {1: 1000, 2: 24}, tmp_path / "part")
    fill(server, direct_store, bucket, ["without-parts"])
    site.open_listing(bucket)
    expect(site.row("with-parts")).to_contain_text("1.00 KiB")
    expect(site.row("without-parts")).to_contain_text("no parts")


def test_one_upload_is_opened_and_aborted(site: Site, bucket: str, direct_store: DirectStore, tmp_path: Path) -> None:
    """One upload of two of its key is opened and aborted"""
    upload_id = direct_store.create_upload(bucket, "dir/to abort", {1: 1000, 2: 2000}, tmp_path / "part")
    other = direct_store.client.create_multipart_upload(bucket, "dir/to abort")
    site.open_listing(bucket)
    page = site.page
    site.follow(page.locator(f"tr:has([title*='{upload_id}'])").get_by_role("link", name="dir/to abort"))
    parts = page.get_by_role("table", name="Parts of this upload")
    expect(parts.get_by_role("row")).to_have_count(3)
    expect(parts).to_contain_text(hashlib.md5(part_bytes(2, 2000)).hexdigest(), ignore_case=True)
    site.follow("Abort…")
    expect(page.get_by_role("heading", name="Abort this upload?")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("A part arrived within the last hour")
    expect(page.get_by_text("Its 2 parts (2.93 KiB) will be permanently deleted")).to_be_visible()
    assert ("dir/to abort", upload_id) in direct_store.uploads_in(bucket)
    page.get_by_role("button", name="Abort the upload").click()
    site.wait_for_operation()
    expect(page.get_by_text("The store lists no more parts of it")).to_be_visible()
    with pytest.raises(ObjectStoreError) as caught:
        list(direct_store.client.iter_parts(bucket, "dir/to abort", upload_id))
    assert caught.value.reason is Reason.NO_SUCH_UPLOAD
    assert direct_store.uploads_in(bucket) == [("dir/to abort", other)]


def test_an_upload_gone_meanwhile_is_said_to_be_gone(site: Site, bucket: str, direct_store: DirectStore) -> None:
    upload_id = direct_store.client.create_multipart_upload(bucket, "gone")
    site.open_listing(bucket)
    direct_store.client.abort_multipart_upload(bucket, "gone", upload_id)
    site.watcher.expect("status of 404")
    site.follow("gone")
    expect(site.page.get_by_role("heading", name="No such upload")).to_be_visible()
    site.follow("To the list of uploads")
    expect(site.page.get_by_text("No uploads in progress")).to_be_visible()


def test_a_selection_is_aborted_together(server: Server, site: Site, bucket: str, direct_store: DirectStore) -> None:
    ordered = fill(server, direct_store, bucket, ["a", "b", "c", "d"])
    site.open_listing(bucket)
    page = site.page
    abort = page.get_by_role("button", name="Abort selected")
    expect(abort).to_be_disabled()
    for key in ("b", "d"):
        site.row(key).get_by_role("checkbox").check()
    expect(abort).to_have_text(re.compile(r"\(2\)"))
    abort.click()
    expect(page.get_by_role("heading", name="Abort 2 uploads?")).to_be_visible()
    page.get_by_role("button", name="Abort 2 uploads").click()
    site.wait_for_operation()
    assert [key for key, _ in direct_store.uploads_in(bucket)] == [key for key in ordered if key in "ac"]


def test_a_whole_page_is_aborted_together(server: Server, site: Site, bucket: str, direct_store: DirectStore) -> None:
    ordered = fill(server, direct_store, bucket, [f"key-{number:02}" for number in range(15)])
    site.open_listing(bucket, max_uploads=12)
    page = site.page
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Abort selected").click()
    page.get_by_role("button", name="Abort 12 uploads").click()
    site.wait_for_operation()
    expect(page.locator("#operation")).to_contain_text("12 of 12 finished")
    assert [key for key, _ in direct_store.uploads_in(bucket)] == ordered[12:]


def test_complete_with_a_gap_replaces_the_object(
    server: Server, site: Site, bucket: str, direct_store: DirectStore, tmp_path: Path
) -> None:
    """A completion with a gap is confirmed and replaces the object, which is exactly its parts"""
    sizes = {1: SMALLEST, 2: SMALLEST, 4: 1234}
    upload_id = direct_store.create_upload(bucket, "dir/gap", sizes, tmp_path / "part")
    direct_store.other_client.put_object(bucket, "dir/gap", b"the object before")
    site.open_upload(bucket, "dir/gap", upload_id)
    page = site.page
    expect(page.locator("#survey")).to_contain_text("Missing part numbers: 3")
    site.follow("Complete…")
    expect(page.get_by_text("will be replaced")).to_be_visible()
    before = re.compile(hashlib.md5(b"the object before").hexdigest(), re.IGNORECASE)
    expect(page.get_by_text(before)).to_be_visible()
    expect(page.get_by_text("10.0 MiB").first).to_be_visible()
    page.get_by_role("button", name="Complete the upload").click()
    assert page.url.split("?")[0].endswith("/complete/"), "without the tick nothing is requested"
    page.get_by_label("build the object from the parts present").check()
    page.get_by_label("Replace this object").check()
    page.get_by_role("button", name="Complete the upload").click()
    if server.does("discards an upload that it is asked to complete with a gap"):
        site.wait_for_operation("failed")
        assert direct_store.uploads_in(bucket) == []
        assert direct_store.client.head_object(bucket, "dir/gap").size == len(b"the object before")
        return
    site.wait_for_operation()
    expect(page.get_by_text("Completed. HEAD confirmed the object.")).to_be_visible()
    expect(page.locator("div:has(> dt:text-is('Verification'))")).to_contain_text("verified by HEAD: size")
    expected = b"".join(part_bytes(number, size) for number, size in sizes.items())
    assert direct_store.object_digest(bucket, "dir/gap") == (len(expected), hashlib.sha256(expected).hexdigest())
    assert direct_store.uploads_in(bucket) == []


def test_complete_blocks_what_the_store_would_refuse(
    site: Site, bucket: str, direct_store: DirectStore, tmp_path: Path
) -> None:
    """What the store would refuse to complete is not sent to it"""
    upload_id = direct_store.create_upload(bucket, "small", {1: 100, 2: 100}, tmp_path / "part")
    site.open_upload(bucket, "small", upload_id)
    site.follow("Complete…")
    expect(site.page.get_by_role("alert").filter(has_text="The store would refuse this")).to_be_visible()
    expect(site.page.get_by_role("button", name="Complete the upload")).to_be_disabled()


def test_an_upload_is_opened_by_key_and_upload_id(
    site: Site, bucket: str, server: Server, direct_store: DirectStore, tmp_path: Path
) -> None:
    """An upload is opened by its key and upload id alone"""
    plain = server.does("uses keys as file paths") or server.does("refuses two slashes in a row")
    folder = "dir/" if plain else "dir//"
    key = folder + "a+b c%2F/東京 ?#&.bin"
    upload_id = direct_store.create_upload(bucket, key, {1: 321}, tmp_path / "part")
    page = site.page
    page.goto(f"/stores/{direct_store.name}/")
    page.locator("#upload-bucket").fill(bucket)
    page.locator("#upload-key").fill(key)
    page.locator("#upload-id").fill(upload_id)
    page.get_by_role("button", name="Open the upload").click()
    expect(page.get_by_role("table", name="Parts of this upload")).to_contain_text("321 bytes")
    site.open_listing(bucket)
    page.get_by_text("Open an upload by key and upload id").click()
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_label("Upload id", exact=True).fill(upload_id)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("table", name="Parts of this upload")).to_contain_text("321 bytes")


def test_without_javascript_a_listing_is_walked_and_aborted(
    server: Server, open_site: OpenSite, bucket: str, direct_store: DirectStore, tmp_path: Path
) -> None:
    """Without JavaScript: a listing is walked, folders too, and its uploads are aborted"""
    fill(server, direct_store, bucket, ["dir/a", "dir/b", "other/c"])
    with_parts = direct_store.create_upload(bucket, "dir/d", {1: 10}, tmp_path / "part")
    site = open_site(java_script_enabled=False)
    page = site.page
    site.open_listing(bucket, max_uploads=2)
    first = site.listed_keys
    site.follow("Next")
    listed = ["dir/a", "dir/b", "dir/d", "other/c"]
    assert sorted([*first, *site.listed_keys]) == (listed[:3] if server.does(INCLUSIVE) else listed)
    site.follow("Previous")
    site.follow("Folders")
    site.follow("dir/")
    site.follow("Next")
    site.follow("dir/d")
    expect(page.locator("#survey")).to_contain_text("10 bytes")
    site.follow("Abort…")
    page.get_by_role("button", name="Abort the upload").click()
    _refresh_until_done(page)
    assert ("dir/d", with_parts) not in direct_store.uploads_in(bucket)
    site.open_listing(bucket)
    site.follow("Select all on this page")
    page.get_by_role("button", name="Abort selected").click()
    page.get_by_role("button", name="Abort 3 uploads").click()
    _refresh_until_done(page)
    assert direct_store.uploads_in(bucket) == []


def _refresh_until_done(page: Page) -> None:
    page.wait_for_url(re.compile(r"/operations/[^/]+/(\?|$)"))
    while (again := page.get_by_role("link", name="Refresh")).count():
        page.wait_for_timeout(200)
        with page.expect_navigation():
            again.click()
    expect(page.locator("#operation .state").first).to_have_text("done")
