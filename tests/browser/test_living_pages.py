"""Pages that are open: ages go on, copying works over plain http, the focus stays, and nothing has to move."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.shared.formatting import age_text
from tests.browser.conftest import FLAGS, OpenSite, chromium
from tests.browser.site import Site
from tests.browser.test_polling import abandoned
from tests.browser.watching import Watcher
from tests.system.stack import PATIENCE, Stack

__all__ = ["abandoned"]
"""A fixture."""

SECONDS = (
    0,
    4,
    5,
    59,
    60,
    3599,
    3600,
    86399,
    86400,
    30 * 86400 - 1,
    30 * 86400,
    365 * 86400,
    800 * 86400,
    -5,
    -90,
    -90000,
)


# --- Ages -------------------------------------------------------------------------------------------------------------


def test_ages_go_on_without_a_request(site: Site) -> None:
    page = site.page
    page.clock.install()
    page.goto("/audit/", wait_until="networkidle")
    newest = page.locator("table .age").first
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "favicon" not in request.url else None)
    page.clock.fast_forward(timedelta(hours=3).seconds * 1000)
    expect(newest).to_have_text("3 hours ago")
    page.clock.fast_forward(timedelta(hours=1).seconds * 1000)
    expect(newest).to_have_text("4 hours ago")
    assert requests == []


def test_ages_of_the_rows_of_a_listing_go_on(site: Site, stack: Stack) -> None:
    bucket = stack.new_bucket()
    for key in ("a", "b"):
        stack.client.create_multipart_upload(bucket, key)
    page = site.page
    page.clock.install()
    site.open_listing(bucket)
    page.wait_for_load_state("networkidle")
    page.clock.fast_forward(timedelta(hours=3).seconds * 1000)
    expect(page.locator("td[data-at]")).to_have_text(["3 hours ago"] * 2)


def test_ages_have_the_texts_of_the_server(page: Page) -> None:
    """By the clock of the server, whatever that of this machine says."""
    page.clock.set_fixed_time(datetime(2001, 2, 3, tzinfo=UTC))
    page.goto("/stores/")
    now = datetime.fromisoformat(str(page.evaluate("document.documentElement.dataset.now")))
    times = [now - timedelta(seconds=seconds) for seconds in SECONDS]
    page.evaluate(
        """(times) => {
          for (const [number, time] of times.entries()) {
            const element = document.createElement("time");
            Object.assign(element, { dateTime: time, title: time, id: `age-${number}` });
            document.querySelector("main").append(element);
          }
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        [each.isoformat() for each in times],
    )
    for number, at in enumerate(times):
        expect(page.locator(f"#age-{number}")).to_have_text(age_text(at, at_time=now))


# --- Copying ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_http(browser: Browser, stack: Stack) -> Iterator[Site]:
    """The site under the name of this machine, which is no secure context: browsers have no clipboard API there."""
    host = socket.gethostname()
    flags = [*FLAGS, f"--host-resolver-rules=MAP {host} 127.0.0.1"]
    other = browser.browser_type.launch(executable_path=chromium(), args=flags)
    context = other.new_context(base_url=f"http://{host}:{urlsplit(stack.url).port}")
    context.set_default_timeout(PATIENCE * 1000)
    watcher = Watcher(context)
    watcher.expect("Cross-Origin-Opener-Policy")
    site = Site(context.new_page(), stack, watcher)
    site.sign_in()
    yield site
    other.close()
    watcher.check()


def _copies(site: Site, stack: Stack) -> None:
    bucket = stack.new_bucket()
    upload_id = stack.client.create_multipart_upload(bucket, "to copy")
    site.open_upload(bucket, "to copy", upload_id)
    button = site.page.get_by_role("button", name="Copy upload id").first
    button.click()
    expect(site.page.locator("#copy-status")).to_have_text("Copied")
    expect(button).to_have_attribute("data-said", "Copied")
    expect(button).to_be_focused()
    expect(site.page.locator("#copy-status")).to_be_empty()
    box = site.page.get_by_role("searchbox")
    box.focus()
    site.page.keyboard.press("ControlOrMeta+V")
    expect(box).to_have_value(upload_id)


def test_copying_works_over_plain_http(plain_http: Site, stack: Stack) -> None:
    assert plain_http.page.evaluate("[isSecureContext, typeof navigator.clipboard]") == [False, "undefined"]
    _copies(plain_http, stack)


def test_copying_works_where_there_is_a_clipboard(open_site: OpenSite, stack: Stack) -> None:
    _copies(open_site(permissions=["clipboard-read", "clipboard-write"]), stack)


# --- Focus ------------------------------------------------------------------------------------------------------------


def _poll(page: Page) -> None:
    """Let the page replace what it keeps up to date, and wait for that."""
    page.evaluate("document.querySelector('[data-poll]').dataset.old = ''")
    page.evaluate("htmx.trigger(document.querySelector('[data-poll]'), 'poll')")
    expect(page.locator("[data-old]")).to_have_count(0)


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with Tab")


def _poll_after_pause(site: Site, stack: Stack, transfer: str, control: str) -> None:
    """Let the page replace the actions of a transfer while a control of them has the focus."""
    site.page.goto(transfer)
    _tab_to(site.page, control)
    site.page.evaluate("document.activeElement.dataset.before = ''")
    with stack.signed_in() as operator:
        operator.post(f"{transfer}pause/")
    _poll(site.page)
    expect(site.page.locator("#transfer-state")).to_have_text("paused")
    expect(site.page.locator("[data-before]")).to_have_count(0)


def test_focus_stays_while_a_page_keeps_itself_up_to_date(site: Site, stack: Stack, abandoned: str) -> None:
    control = "#transfer-actions summary"
    _poll_after_pause(site, stack, abandoned, control)
    assert site.page.evaluate("(control) => document.activeElement.matches(control)", control)


def test_focus_is_on_no_other_button_after_a_button_has_gone(site: Site, stack: Stack, abandoned: str) -> None:
    _poll_after_pause(site, stack, abandoned, "#transfer-actions form[action$='/pause/'] button")
    assert site.page.evaluate("document.activeElement.id") == "transfer-actions"


def test_focus_stays_in_a_list(site: Site, stack: Stack, abandoned: str) -> None:
    page = site.page
    page.goto("/transfers/")
    link = f"#transfer-list a[href={json.dumps(abandoned)}]"
    _tab_to(page, link)
    page.evaluate("document.activeElement.removeAttribute('id')")  # htmx itself keeps the focus by the id.
    with stack.signed_in() as operator:
        operator.post(f"{abandoned}pause/")  # A list in which nothing has changed is not replaced.
    _poll(page)
    assert page.evaluate("(link) => document.activeElement.matches(link)", link)


# --- Reduced motion ---------------------------------------------------------------------------------------------------

MOVING = """() => {
  const seconds = (text) => Math.max(...text.split(",").map((each) => parseFloat(each)));
  return [...document.querySelectorAll("*")].flatMap((element) => ["", "::before", "::after"].map((part) => {
    const style = getComputedStyle(element, part);
    const animation = style.animationName === "none" ? 0 : seconds(style.animationDuration);
    const moves = Math.max(seconds(style.transitionDuration), animation);
    return moves > 0.001 ? `${element.tagName}.${element.className}${part}` : "";
  })).filter(Boolean);
}"""


def test_nothing_moves_with_reduced_motion(open_site: OpenSite, abandoned: str) -> None:
    calm, other = open_site(reduced_motion="reduce"), open_site(reduced_motion="no-preference")
    for path in ("/", "/stores/", "/transfers/", "/transfers/new/", abandoned):
        calm.page.goto(path)
        assert calm.page.evaluate(MOVING) == [], path
    other.page.goto("/")
    assert other.page.evaluate(MOVING)
