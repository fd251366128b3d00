"""The rows of a listing: one line each, long keys cut in the middle, and facts for the visible rows alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import overflow, widest
from tests.system.direct_store import DirectStore
from tests.system.stack import Stack

LONG = f"backups/{'a-folder-with-a-long-name/' * 6}database-0001.tar.gz"
ROW_HEIGHT = 40


@pytest.fixture(scope="module")
def crowd(stack: Stack) -> str:
    """A bucket with 300 uploads."""
    bucket = stack.new_bucket()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: stack.client.create_multipart_upload(bucket, f"folder/key {n:04}"), range(300)))
    return bucket


def facts_of(page: Page) -> list[int]:
    """The number of rows in each request for facts from now on."""
    found: list[int] = []

    def note(request: Request) -> None:
        if request.url.endswith("/facts/"):
            found.append((request.post_data or "").count('name="upload"'))

    page.on("request", note)
    return found


def test_facts_are_one_request_for_what_is_visible(site: Site, crowd: str) -> None:
    page, asked = site.page, facts_of(site.page)
    site.open_listing(crowd, max_uploads=300)
    expect(site.row("folder/key 0000")).to_contain_text("no parts")
    assert len(asked) == 1
    assert 10 <= asked[0] <= 50
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(site.row("folder/key 0299")).to_contain_text("no parts")
    assert len(asked) == 2
    assert sum(asked) <= 100, "rows that were scrolled past"
    expect(site.row("folder/key 0150")).not_to_contain_text("no parts")


def test_row_is_one_line_and_its_key_has_the_most_space(site: Site, stack: Stack, tmp_path: Path) -> None:
    bucket = stack.new_bucket()
    stack.create_upload(bucket, LONG, {1: 2000, 3: 10}, tmp_path / "part")
    stack.create_upload(bucket, "short", {1: 20}, tmp_path / "part")
    for width in (1280, 1920):
        site.page.set_viewport_size({"width": width, "height": 900})
        site.open_listing(bucket)
        row = site.row(LONG)
        expect(row).to_contain_text("gap")
        box, key = row.bounding_box(), row.locator("th").bounding_box()
        assert box is not None
        assert key is not None
        assert box["height"] <= ROW_HEIGHT
        assert key["width"] >= 0.45 * box["width"] - 25
        start = row.locator("th > a > span")
        assert start.evaluate("(each) => each.scrollWidth > each.clientWidth"), "it is cut"
        end = row.locator("th > a").bounding_box()
        assert end is not None
        assert end["x"] + end["width"] <= key["x"] + key["width"] + 1
        assert overflow(site.page) == 0, (width, widest(site.page))


def test_long_key_is_whole_when_copied_named_or_focused(site: Site, stack: Stack) -> None:
    bucket = stack.new_bucket()
    stack.client.create_multipart_upload(bucket, LONG)
    site.open_listing(bucket)
    link = site.page.get_by_role("link", name=LONG, exact=True)
    assert LONG in (link.get_attribute("title") or "")
    copied = link.evaluate("(each) => { getSelection().selectAllChildren(each); return getSelection().toString(); }")
    assert copied == LONG
    expect(site.page.get_by_role("checkbox", name=f"Select {LONG}", exact=True)).to_be_visible()
    before = link.bounding_box()
    site.page.get_by_role("checkbox", name=f"Select {LONG}").focus()
    site.page.keyboard.press("Tab")
    expect(link).to_be_focused()
    focused = link.bounding_box()
    assert before is not None
    assert focused is not None
    assert focused["height"] > before["height"], "it wraps"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rows_fit_a_phone(open_site: OpenSite, stack: Stack, tmp_path: Path, scheme: str) -> None:
    bucket = stack.new_bucket()
    stack.create_upload(bucket, LONG, {1: 2000, 3: 10}, tmp_path / "part")
    site = open_site(color_scheme=scheme, viewport={"width": 390, "height": 844})
    site.open_listing(bucket)
    expect(site.row(LONG)).to_contain_text("gap")
    assert overflow(site.page) == 0, widest(site.page)


def test_facts_are_asked_for_again_after_a_failure(site: Site, crowd: str) -> None:
    site.watcher.expect("failed: POST")
    site.watcher.expect("ERR_FAILED")
    failures = [1]
    site.page.route("**/facts/", lambda route: route.abort() if failures and failures.pop() else route.continue_())
    site.open_listing(crowd)
    expect(site.row("folder/key 0000")).to_contain_text("no parts")
    expect(site.page.locator("#line-problem")).to_be_hidden()


def test_selection_survives_paging_a_reload_and_pages_in_between(site: Site, crowd: str) -> None:
    page = site.page
    abort = page.get_by_role("button", name="Abort selected")
    site.open_listing(crowd, max_uploads=100)
    page.get_by_label("Select all on this page").check()
    site.follow("Next")
    expect(page.get_by_text("100 selected on other pages")).to_be_visible()
    page.get_by_role("checkbox", name="Select folder/key 0100", exact=True).check()
    expect(abort).to_contain_text("(101)")
    page.reload()
    expect(abort).to_contain_text("(101)")
    expect(page.get_by_role("checkbox", name="Select folder/key 0100", exact=True)).to_be_checked()
    there = page.url
    site.follow("folder/key 0105")
    site.follow(page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name=crowd))
    assert page.url == there
    expect(abort).to_contain_text("(101)")
    site.submit(abort)
    expect(page.get_by_role("heading", level=1)).to_have_text("Abort 101 uploads?")
    site.follow("Keep them")
    assert page.url == there
    expect(abort).to_contain_text("(101)")
    page.get_by_role("button", name="Clear the selection").click()
    expect(abort).to_be_disabled()
    page.reload()
    expect(abort).to_be_disabled()


def test_rows_are_filtered_by_idle_time(site: Site, stack: Stack, tmp_path: Path) -> None:
    bucket = stack.new_bucket()
    stack.create_upload(bucket, "recent", {1: 10}, tmp_path / "part")
    stack.create_upload(bucket, "other", {1: 10}, tmp_path / "part")
    page = site.page
    site.open_listing(bucket)
    expect(site.row("recent")).to_contain_text("10 bytes")
    page.get_by_role("checkbox", name="Select other").check()
    page.get_by_role("button", name="1 hour").click()
    expect(site.row("recent")).to_be_hidden()
    expect(page.get_by_text("0 match, 2 do not")).to_be_visible()
    expect(page.get_by_role("button", name="Abort selected")).to_contain_text("(1)")
    page.get_by_label("Select all on this page").click()
    expect(page.get_by_role("button", name="Abort selected")).to_contain_text("(1)")
    page.reload()
    expect(page.get_by_text("0 match, 2 do not")).to_be_visible()
    page.get_by_role("button", name="any time").click()
    expect(site.row("recent")).to_be_visible()


def test_right_one_of_four_uploads_of_a_key_is_completed_with_three_clicks(
    site: Site, stack: Stack, tmp_path: Path
) -> None:
    """The parts have just arrived, so that the page advises to wait: the operator knows better."""
    bucket, clicks = stack.new_bucket(), 0
    sizes: list[dict[int, int]] = [{1: 10}, {1: 5 * 1024**2, 2: 30}, {2: 10}, {}]
    ids = [stack.create_upload(bucket, "report.csv", parts, tmp_path / "part") for parts in sizes]
    stack.client.create_multipart_upload(bucket, "report.csv.bak")
    site.open_listing(bucket)
    page = site.page
    for link in (
        page.get_by_role("link", name="same key: 4 uploads").first,
        page.locator(f"a[href*='/complete/'][href*='{ids[1]}']"),
    ):
        site.follow(link)
        clicks += 1
    page.get_by_role("button", name="Complete the upload").click()
    clicks += 1
    site.wait_for_operation()
    assert clicks == 3
    assert stack.object_digest(bucket, "report.csv")[0] == 5 * 1024**2 + 30
    assert {upload_id for _, upload_id in stack.uploads_in(bucket)} & set(ids) == {ids[0], ids[2], ids[3]}


def test_ticking_a_box_computes_the_styles_of_few_elements(browser: Browser, site: Site, crowd: str) -> None:
    page = site.page
    site.open_listing(crowd)
    page.wait_for_load_state("networkidle")
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    for number in (3, 4):
        page.locator("input[name=upload]").nth(number).check()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    events = json.loads(browser.stop_tracing())["traceEvents"]
    styled = [each["args"].get("elementCount", 0) for each in events if each["name"] == "UpdateLayoutTree"]
    assert 0 < max(styled) < 60


@pytest.mark.timeout(900)
def test_200_uploads_of_three_pages_are_aborted_with_seven_clicks(
    site: Site, on_swift: DirectStore, tmp_path: Path
) -> None:
    """Those with a recent part are spared. The store of the stack refuses markers of uploads that have ended."""
    site.store = on_swift.name
    bucket, clicks = on_swift.new_bucket(), 0
    recent = {on_swift.create_upload(bucket, f"key {number}", {1: 10}, tmp_path / "part") for number in (20, 90, 170)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: on_swift.client.create_multipart_upload(bucket, f"key {n:03}"), range(197)))
    site.open_listing(bucket, max_uploads=70)
    page = site.page
    page.get_by_label("Select all on this page").check()
    clicks += 1
    for _ in range(2):
        site.follow("Next")
        page.get_by_label("Select all on this page").check()
        clicks += 2
    site.submit(page.get_by_role("button", name="Abort selected (200)"))
    clicks += 1
    expect(page.get_by_role("heading", level=1)).to_have_text("Abort 200 uploads?")
    expect(page.get_by_text("All uploads have been looked at.")).to_be_visible()
    expect(page.locator("[data-sum=hour]")).to_have_text("3")
    expect(page.locator("[data-sum=day]")).to_have_text("3")
    expect(page.locator("[data-sum=parts]")).to_have_text("3")
    expect(page.locator("[data-sum=bytes]")).to_have_text("30 bytes")
    expect(page.locator("[data-sum=unknown]")).to_have_text("0")
    expect(page.get_by_text("(3 of them)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="This list as CSV").click()
    exported = Path(download.value.path()).read_text().splitlines()
    assert len(exported) == 201
    assert sum(",1,10,2" in line for line in exported) == 3
    page.get_by_role("button", name="Abort 200 uploads").click()
    clicks += 1
    site.wait_for_operation()
    assert clicks == 7
    expect(page.locator("#operation")).to_contain_text("3 were spared")
    assert {upload_id for _, upload_id in on_swift.uploads_in(bucket)} == recent
    site.follow("To the uploads of")
    expect(page.get_by_role("button", name="Abort selected")).to_be_disabled()
