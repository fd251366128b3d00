"""The inventory in the browser: from the overview to the largest dead uploads, by keyboard, and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.watching import overflow
from tests.system.stack import Stack

PICTURES = os.environ.get("INVENTORY_PICTURES", "")
"""A folder for pictures of the pages, for somebody who looks at them."""


@pytest.fixture(scope="module")
def bucket(stack: Stack) -> str:
    name = stack.new_bucket()
    return stack.run_python(
        f"from tests.browser.inventory_rows import create\nprint(create({stack.store!r}, {name!r}))"
    )


def picture(site: Site, name: str) -> None:
    if PICTURES:
        site.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def test_two_clicks_lead_from_the_overview_to_the_largest_dead_upload(site: Site, bucket: str) -> None:
    site.goto("/")
    expect(site.page.get_by_role("heading", level=2).first).to_have_text("Hidden bytes")
    picture(site, "overview")
    site.follow(site.page.locator("#look-dead"))
    rows = site.page.locator(".table-inventory tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("dead/2/file.bin")
    # The upload exists in the inventory only.
    site.watcher.expect("status of 404")
    site.follow(rows.first.locator("th a").first)
    assert "key=dead%2F2%2Ffile.bin" in site.page.url


def test_explored_by_keyboard(site: Site, bucket: str) -> None:
    page = site.page
    site.goto("/inventory/")
    page.locator("#q").focus()
    page.keyboard.type("completable/1")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".table-inventory tbody tr")).to_have_count(1)
    for _tab in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.inventory-chips') !== null"):
            break
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".table-inventory tbody tr")).to_have_count(15)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_its_page(site: Site, bucket: str, width: int, scheme: str) -> None:
    page = site.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for name, query in (
        ("all", ""),
        ("buckets", "?group=bucket"),
        ("prefixes", "?group=prefix"),
        ("ages", "?group=age"),
    ):
        site.goto(f"/inventory/{query}")
        picture(site, f"{name}-{width}-{scheme}")
        assert not overflow(page), query


def test_a_view_is_saved_and_opened_again(site: Site, bucket: str) -> None:
    page = site.page
    site.goto("/inventory/?q=stalled")
    page.get_by_text("Saved views").click()
    page.locator("#view-name").fill("the stalled ones")
    with page.expect_navigation():
        page.get_by_role("button", name="Save the view").click()
    site.goto("/inventory/")
    page.get_by_text("Saved views").click()
    site.follow(page.get_by_role("link", name="the stalled ones", exact=True))
    assert page.url.endswith("?q=stalled")
    expect(page.locator(".table-inventory tbody tr")).to_have_count(3)
