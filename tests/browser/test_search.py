"""The search box of the header in the browser: an upload is opened by its id alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import overflow
from tests.system.stack import Stack

BOX = "Search for a key, an upload id"


@pytest.fixture(scope="module")
def seen(stack: Stack) -> tuple[str, str]:
    """A bucket with uploads that a scan has seen, and the id of one of them."""
    bucket = stack.new_bucket()
    for _ in range(3):
        stack.client.create_multipart_upload(bucket, "same/key.bin")
    upload_id = stack.client.create_multipart_upload(bucket, "to/find.bin")
    stack.run_python(
        f"from django.core.management import call_command\ncall_command('scan', '--store={stack.store}',"
        f" '--bucket={bucket}', '--wait')"
    )
    return bucket, upload_id


@pytest.mark.parametrize("javascript", [True, False])
def test_an_upload_is_opened_by_its_id_alone(open_site: OpenSite, seen: tuple[str, str], javascript: bool) -> None:
    """One click into the field, a paste, and Enter. Without a scan, it takes the key and the bucket as well."""
    site = open_site(java_script_enabled=javascript)
    page, (bucket, upload_id) = site.page, seen
    site.goto("/")
    page.get_by_label(BOX).click()
    page.keyboard.insert_text(f'"PUT /{bucket}/x?partNumber=3&uploadId={upload_id} HTTP/1.1" 403')
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("to/find.bin")
    assert upload_id in page.url


def test_choices_are_listed_and_fit_a_phone(open_site: OpenSite, seen: tuple[str, str]) -> None:
    site = open_site(viewport={"width": 390, "height": 844})
    page = site.page
    site.goto("/search/")
    page.get_by_label(BOX).fill("same/key.bin")
    site.submit("Search")
    expect(page.get_by_role("row").filter(has=page.get_by_role("link", name="same/key.bin"))).to_have_count(3)
    assert overflow(page) == 0
    assert page.get_by_label(BOX).input_value() == "same/key.bin"


def test_an_unknown_upload_is_opened_below_the_explanation(site: Site, stack: Stack) -> None:
    page, bucket = site.page, stack.new_bucket()
    upload_id = stack.client.create_multipart_upload(bucket, "not/seen.bin")
    site.goto("/")
    page.get_by_label(BOX).fill(f"/{bucket}/not/seen.bin?uploadId={upload_id}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
    page.get_by_label("Store", exact=True).select_option(label=stack.store)
    site.submit("Open the upload")
    expect(page.locator("h1")).to_contain_text("not/seen.bin")


def test_the_header_has_two_lines_on_a_phone(open_site: OpenSite) -> None:
    page = open_site(viewport={"width": 390, "height": 844}).page
    page.goto("/")
    header = page.locator("header.top").bounding_box()
    assert header is not None
    assert header["height"] < 110
    assert overflow(page) == 0
