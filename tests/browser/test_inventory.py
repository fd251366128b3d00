"""The inventory in the browser: from the overview to the largest dead uploads, by keyboard, and on a phone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.inventory_rows import STORE
from tests.browser.site import Site
from tests.browser.watching import overflow, widest
from tests.system.stack import Stack

PICTURES = os.environ.get("INVENTORY_PICTURES", "")
"""A folder for pictures of the pages, for somebody who looks at them."""

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MOST_TABS = 80


@pytest.fixture(scope="module")
def bucket(stack: Stack) -> str:
    return stack.run_python("from tests.browser.inventory_rows import create\nprint(create())")


def picture(site: Site, name: str) -> None:
    if PICTURES:
        site.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def rows(page: Page) -> Locator:
    return page.locator(".table-inventory tbody tr")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is on such an element."""
    for _tab in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{MOST_TABS} tabs do not lead to {selector}")


def enter(page: Page, selector: str) -> None:
    """Go to an element by keyboard, and press Enter on it."""
    tab_to(page, selector)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def skip_filters(page: Page) -> None:
    tab_to(page, ".skip-link[href='#rows']")
    page.keyboard.press("Enter")


def tap(page: Page, target: Locator) -> None:
    with page.expect_navigation():
        target.tap()


def test_two_clicks_lead_from_the_overview_to_the_largest_dead_upload(site: Site, bucket: str) -> None:
    site.goto("/")
    expect(site.page.get_by_role("heading", level=2).first).to_have_text("Hidden bytes")
    picture(site, "overview")
    site.follow(site.page.locator("#look-dead"))
    expect(rows(site.page).first).to_contain_text("dead/2/file.bin")
    site.page.locator(".inventory-why > summary").first.click()
    expect(site.page.locator(".inventory-why-body").first).to_contain_text("make an upload dead")
    href = rows(site.page).first.locator("th a").first.get_attribute("href") or ""
    assert "key=dead%2F2%2Ffile.bin" in href


def test_explored_by_keyboard(site: Site, bucket: str) -> None:
    page = site.page
    site.goto(f"/inventory/?store={STORE}&page-size=5")
    tab_to(page, "#q")
    page.keyboard.type("/2/")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(5)
    enter(page, ".list-chips a[href$='store=far-away']")
    expect(page.locator("#next-page")).to_be_visible()
    enter(page, ".inventory-groups a[href*='group=store']")
    enter(page, ".table-inventory-groups th a")
    expect(page.get_by_role("heading", name="Uploads by bucket")).to_be_visible()
    enter(page, ".table-inventory-groups th a")
    enter(page, ".table-inventory-groups th a")
    assert "prefix=dead%2F" in page.url
    expect(rows(page)).to_have_count(3)
    enter(page, ".table-inventory thead a[href*='sort=key']")
    expect(rows(page).first).to_contain_text("dead/0/")
    skip_filters(page)
    tab_to(page, ".inventory-why > summary")
    page.keyboard.press("Enter")
    expect(page.locator(".inventory-why-body").first).to_be_visible()


def test_pages_lead_forward_and_back_by_keyboard(site: Site, bucket: str) -> None:
    page = site.page
    site.goto(f"/inventory/?store={STORE}&page-size=6&sort=key")
    first = rows(page).locator("th a").all_inner_texts()
    skip_filters(page)
    enter(page, "#next-page")
    expect(rows(page).first).not_to_contain_text(first[0])
    skip_filters(page)
    enter(page, "#previous-page")
    assert rows(page).locator("th a").all_inner_texts() == first


def test_explored_on_a_phone(open_site: OpenSite, bucket: str) -> None:
    site = open_site(**PHONE)
    page = site.page
    site.goto("/")
    tap(page, page.locator("#look-completable"))
    site.goto("/inventory/?page-size=5")
    expect(page.locator("#store")).to_be_hidden()
    page.locator("#filters > summary").tap()
    page.locator("#store").select_option(STORE)
    page.get_by_label("dead", exact=True).check()
    page.get_by_label("completable", exact=True).check()
    tap(page, page.get_by_role("button", name="Filter", exact=True))
    expect(rows(page)).to_have_count(5)
    expect(page.locator("#store")).to_be_hidden()
    tap(page, page.locator(".list-sort").get_by_role("link", name="Started"))
    expect(rows(page).first).to_contain_text("completable/")
    tap(page, page.locator("#next-page"))
    expect(rows(page)).to_have_count(1)
    tap(page, page.locator("#previous-page"))
    tap(page, page.locator(".inventory-groups").get_by_role("link", name="Prefix"))
    tap(page, page.get_by_role("link", name="dead/", exact=True).last)
    assert "prefix=dead%2F" in page.url
    expect(rows(page)).to_have_count(3)
    page.locator(".inventory-why > summary").first.tap()
    expect(page.locator(".inventory-why-body").first).to_be_visible()
    assert not overflow(page), widest(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").tap()
    assert len(Path(download.value.path()).read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_view_fits_its_page(site: Site, bucket: str, width: int, scheme: Literal["dark", "light"]) -> None:
    page = site.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for name, query in (
        ("all", ""),
        ("buckets", "&group=bucket"),
        ("prefixes", "&group=prefix&depth=3"),
        ("initiators", "&group=initiator"),
        ("ages", "&group=age"),
        ("nothing", "&q=nowhere"),
    ):
        site.goto(f"/inventory/?store={STORE}{query}")
        picture(site, f"{name}-{width}-{scheme}")
        assert not overflow(page), (query, widest(page))


def test_a_view_is_saved_and_opened_again(site: Site, bucket: str) -> None:
    page = site.page
    site.goto("/inventory/?q=stalled")
    page.locator("#views > summary").click()
    page.locator("#view-name").fill("the stalled ones")
    with page.expect_navigation():
        page.get_by_role("button", name="Save the view").click()
    site.goto("/inventory/")
    page.locator("#views > summary").click()
    site.follow(page.get_by_role("link", name="the stalled ones", exact=True))
    assert page.url.endswith("?q=stalled")
    expect(rows(page)).to_have_count(3)


def test_a_sweep_is_planned_of_selected_uploads(site: Site, bucket: str) -> None:
    page = site.page
    site.goto(f"/inventory/?store={STORE}&verdict=dead&verdict=stalled")
    expect(page.get_by_role("button", name="Plan a sweep of the selected")).to_be_disabled()
    for key in ("dead/0/file.bin", "stalled/1/file.bin"):
        page.get_by_label(f"Select {key}", exact=True).check()
    with page.expect_navigation():
        page.get_by_role("button", name="Plan a sweep of the selected (2)").click()
    expect(page.locator("main")).to_contain_text("2 uploads are selected")
    assert page.locator("input[name=verdict]:checked").evaluate_all("boxes => boxes.map(box => box.value)") == [
        "dead",
        "stalled",
    ]
