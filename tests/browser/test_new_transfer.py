"""The page of a new transfer: files first, then the destination, then the options; and what stops it before a byte."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenSite
from tests.browser.site import SEND, Site
from tests.system.stack import PATIENCE, Stack

FILES = 200


def open_page(site: Site, bucket: str, **query: str) -> None:
    site.goto(f"/transfers/new/?{urlencode({'store': site.store, 'bucket': bucket, **query})}")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["1280", "390"])
def test_files_come_first(size: tuple[int, int], open_site: OpenSite, bucket: str) -> None:
    site = open_site(viewport={"width": size[0], "height": size[1]})
    open_page(site, bucket)
    drop_zone, destination = site.page.locator("#choosing"), site.page.locator(".destination")
    for button in (site.page.locator("#choose-files"), site.page.locator("#choose-folder")):
        expect(button).to_be_in_viewport(ratio=1)
    expect(drop_zone).to_be_in_viewport(ratio=1)
    [above, below] = [each.bounding_box() for each in (drop_zone, destination)]
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] < below["y"]
    assert above["width"] > 0.85 * below["width"]
    expect(site.page.locator("[name=bucket]")).to_have_value(bucket)
    expect(site.page.get_by_label("Part size")).to_be_hidden()


def test_options_say_what_is_set_and_open_for_an_error(site: Site, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect("status of 400")
    (tmp_path / "file").write_text("text")
    open_page(site, bucket)
    summary = site.page.locator("#options-summary")
    expect(summary).to_have_text("all automatic")
    site.open_options()
    site.page.locator("[name=metadata]").fill("no colon")
    expect(summary).to_have_text("Metadata: no colon")
    site.page.locator("#options summary").click()
    site.select_files(tmp_path / "file")
    site.send()
    expect(site.page.locator("#id_metadata_error")).to_be_visible()
    expect(site.page.locator("[name=metadata]")).to_be_focused()


def test_refused_destination_stops_before_the_first_byte(site: Site, stack: Stack, tmp_path: Path) -> None:
    site.watcher.expect("status of 400")
    (tmp_path / "file").write_text("text")
    open_page(site, "no-such-bucket-of-this-test", prefix="in/")
    site.select_files(tmp_path / "file")
    site.send()
    errors = site.page.locator("#form-errors")
    expect(errors).to_contain_text("no file was sent (NoSuchBucket, request id ")
    expect(site.page.locator("#id_bucket_error")).to_have_text("The bucket does not exist.")
    expect(site.files).to_have_attribute("data-state", "waiting")
    assert not stack.query("SELECT id FROM uploads_transfer WHERE bucket = ?", "no-such-bucket-of-this-test")


def test_folder_is_uploaded_into_the_folder_shown_with_two_clicks(
    site: Site, stack: Stack, bucket: str, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:03}.txt").write_text(f"file {number}")
    # The link “Upload here” of the listing leads here.
    open_page(site, bucket, prefix="in/2026/")
    clicks = 0
    with site.page.expect_file_chooser() as choosing:
        site.page.get_by_role("button", name="Select a folder").click()
        clicks += 1
    choosing.value.set_files(folder)
    expect(site.page.locator("#files-count")).to_contain_text(f"{FILES} files")
    site.page.get_by_role("button", name=SEND).click()
    clicks += 1
    # Each file is a transfer with several tasks of the workers.
    expect(site.page.locator("#overall-counts")).to_have_text(f"{FILES} done", timeout=10 * PATIENCE * 1000)
    assert clicks == 2
    rows = stack.query("SELECT key FROM uploads_transfer WHERE bucket = ?", bucket)
    assert {key for (key,) in rows} == {f"in/2026/reports/{number:03}.txt" for number in range(FILES)}


def test_without_scripts_nothing_is_offered_that_needs_them(open_site: OpenSite, stack: Stack, bucket: str) -> None:
    site = open_site(java_script_enabled=False)
    open_page(site, bucket, prefix="in/")
    expect(site.page.get_by_label("The file to send")).to_be_in_viewport()
    expect(site.page.locator("#choose")).to_be_hidden()
    expect(site.page.get_by_role("button", name="Send", exact=True)).to_have_count(1)
    expect(site.page.locator("[name=prefix]")).to_have_value("in/")
