"""Lists of our own rows in the browser: the clicks of an operator's tasks, the keyboard, phones, and what stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.test_every_page import Keyboard
from tests.browser.watching import overflow, widest
from tests.system.stack import Stack

PICTURES = os.environ.get("PICTURES", "")


class Clicks:
    """Clicks, and counts them."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def click(self, target: Locator, *, leads_away: bool = True) -> None:
        self.count += 1
        if not leads_away:
            target.click()
            return
        with self.page.expect_navigation():
            target.click()


@pytest.fixture
def bucket(stack: Stack) -> str:
    """A bucket with rows for the lists."""
    bucket = stack.new_bucket()
    stack.run_python(f"from tests.browser.list_rows import create\ncreate({stack.store!r}, {bucket!r})")
    return bucket


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def listed(page: Page) -> list[str]:
    return page.locator(".table-list tbody th a").all_inner_texts()


def test_three_stuck_transfers_are_cancelled_with_four_clicks(site: Site, stack: Stack, bucket: str) -> None:
    page = site.page
    page.goto(f"/transfers/?bucket={bucket}")
    clicks = Clicks(page)
    clicks.click(page.get_by_role("link", name="Waiting for the browser"))
    assert set(listed(page)) == {f"stuck/video-{number}.mov" for number in range(3)}
    clicks.click(page.locator(".table-tools").get_by_label("Select all on this page"), leads_away=False)
    picture(page, "transfers-selected")
    clicks.click(page.get_by_role("button", name="Cancel selected… (3)"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel 3 transfers?")
    picture(page, "transfers-cancel")
    clicks.click(page.get_by_role("button", name="Cancel 3 transfers"))
    expect(page.locator(".alert-success")).to_contain_text("3 transfers are cancelled.")
    assert f"bucket={bucket}" in page.url
    assert "state=waiting-for-browser" in page.url
    assert listed(page) == []
    assert clicks.count == 4


def test_failed_transfer_of_yesterday_is_found_with_three_clicks(site: Site, bucket: str) -> None:
    page = site.page
    page.goto(f"/transfers/?bucket={bucket}")
    clicks = Clicks(page)
    clicks.click(page.get_by_role("link", name="Failed", exact=True))
    clicks.click(page.get_by_role("link", name="Yesterday", exact=True))
    assert listed(page) == ["reports/yesterday.csv"]
    clicks.click(page.get_by_role("link", name="reports/yesterday.csv"))
    expect(page.locator("#transfer-notice")).to_contain_text("AccessDenied")
    assert clicks.count == 3


def test_two_operations_are_stopped_with_four_clicks(site: Site, stack: Stack, bucket: str) -> None:
    page = site.page
    page.goto(f"/operations/?bucket={bucket}&state=running")
    clicks = Clicks(page)
    for number in range(2):
        clicks.click(page.get_by_label(f"Select the operation on waits-{number}.bin"), leads_away=False)
    with page.expect_response(lambda response: "state=running" in response.url):
        pass
    picture(page, "operations-selected")
    clicks.click(page.get_by_role("button", name="Stop selected… (2)"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Stop 2 operations?")
    picture(page, "operations-stop")
    assert overflow(page) == 0, widest(page)
    clicks.click(page.get_by_role("button", name="Stop 2 operations"))
    expect(page.locator(".alert-success")).to_contain_text("2 operations are stopped.")
    assert len(listed(page)) == 1
    assert clicks.count == 4


def test_selection_is_paused_by_keyboard(open_site: OpenSite, bucket: str) -> None:
    page = open_site().page
    keyboard = Keyboard(page)
    page.goto(f"/transfers/?bucket={bucket}&state=waiting-for-browser")
    for name in ("Skip to the content", "Skip the filters"):
        keyboard.tab_to(page.get_by_role("link", name=name))
        keyboard.press("Enter")
    keyboard.tab_to(page.get_by_label("Select stuck/video-1.mov"))
    keyboard.press("Space")
    # Backwards from the rows: the headings, then the actions.
    pause = page.get_by_role("button", name="Pause selected (1)")
    for _ in range(20):
        page.keyboard.press("Shift+Tab")
        if pause.evaluate("(element) => element === document.activeElement"):
            break
    keyboard.follow()
    expect(page.locator(".alert-success")).to_contain_text("1 transfer is paused.")
    assert len(listed(page)) == 2


def test_rows_have_one_height_and_fit(open_site: OpenSite, bucket: str) -> None:
    site = open_site(color_scheme="light")
    page = site.page
    page.goto(f"/transfers/?bucket={bucket}")
    heights = page.locator(".table-list tbody tr").evaluate_all("(rows) => rows.map((row) => row.offsetHeight)")
    assert len(heights) == 10
    assert max(heights) - min(heights) <= 1
    picture(page, "transfers-1280")
    assert overflow(page) == 0, widest(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    picture(page, "transfers-390")
    assert overflow(page) == 0, widest(page)


def test_columns_are_chosen_and_a_selection_survives_a_poll(site: Site, bucket: str) -> None:
    page = site.page
    page.goto(f"/transfers/?bucket={bucket}")
    page.get_by_label("Select paused.bin").check()
    with page.expect_response(lambda response: "seen=" in response.url) as poll:
        pass
    assert poll.value.status in (200, 204)
    expect(page.get_by_label("Select paused.bin")).to_be_checked()
    expect(page.get_by_role("button", name="Pause selected (1)")).to_be_enabled()
    page.locator("#list-choice > summary").click()
    picture(page, "transfers-columns")
    menu = page.locator("#list-choice")
    menu.get_by_label("Rate, time left").uncheck()
    menu.get_by_label("compact").check()
    site.submit(menu.get_by_role("button", name="Show"))
    assert page.get_by_role("columnheader", name="Rate, time left").count() == 0
    assert f"bucket={bucket}" in page.url
    page.locator("#list-choice > summary").click()
    site.submit(menu.get_by_role("button", name="As it was"))
    expect(page.get_by_role("columnheader", name="Rate, time left")).to_be_visible()
