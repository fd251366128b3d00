"""Pages that keep themselves up to date: often while something changes, and less often while nothing does.

A hidden tab does not poll, nor does a page on which nothing has changed for long. A page that could not be updated says
so.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.relay import relayed
from tests.browser.site import Site
from tests.system.stack import MIB, Stack, wait_for

WAITING = "waiting for the browser"
TWENTY_HOURS = 20 * 3600

COUNT_POLLS = """
window.polls = window.loads = 0;
document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt.dataset.poll) window.polls++; });
document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.elt.dataset.poll) window.loads++; });
document.addEventListener("htmx:load", (event) => { if (event.detail.elt.dataset?.poll) window.loads++; });
"""


def silence(stack: Stack, bucket: str, seconds: int = 60) -> None:
    """Let the browsers of a bucket's transfers have been silent for so long."""
    stack.run_python(
        "from datetime import timedelta\nfrom django.db.models import F\nfrom uploads.models import Transfer\n"
        f"Transfer.objects.filter(bucket={bucket!r}).update(received_at=F('received_at')-timedelta(seconds={seconds}))"
    )


@pytest.fixture
def abandoned(stack: Stack) -> str:
    """The address of the page of a transfer whose browser has gone."""
    bucket = stack.new_bucket()
    values = {"store": stack.store, "bucket": bucket, "key": "left.bin"}
    metadata = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in values.items())
    with stack.signed_in() as operator:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Upload-Metadata": metadata}
        headers |= {"X-CSRFToken": operator.csrf_token}
        created = operator.session.post(f"{stack.url}/files/", headers=headers)
    created.raise_for_status()
    # The overview shows those first that have waited longest, and other tests leave some too. They expire after a day.
    silence(stack, bucket, TWENTY_HOURS)
    return f"/transfers/{created.headers['Location'].rstrip('/').rsplit('/', maxsplit=1)[-1]}/"


class Clock:
    """The clock of a page, and the polls that it causes."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.clock.install()
        page.goto(url)
        page.evaluate(COUNT_POLLS)

    @property
    def polls(self) -> int:
        return int(self.page.evaluate("window.polls"))

    def forward(self, seconds: float) -> None:
        self.page.clock.fast_forward(round(seconds * 1000))
        self.settle()

    def settle(self) -> None:
        """Wait for the responses. What htmx does after them waits for the clock of the page."""

        def is_settled() -> bool:
            self.page.clock.run_for(30)
            return bool(self.page.evaluate("window.loads >= window.polls"))

        wait_for("the responses", is_settled)

    def seconds_to_next_poll(self) -> int:
        """In whole seconds, a little less than one being none."""
        before, seconds = self.polls, 0
        while self.polls == before:
            assert seconds < 100
            self.page.clock.run_for(1000)
            seconds += 1
        self.settle()
        return seconds


def hide(page: Page, *, hidden: bool) -> None:
    """As if another tab were in front of this one."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_polls_become_rare_and_end_while_nothing_changes(site: Site, abandoned: str) -> None:
    clock = Clock(site.page, abandoned)
    expect(site.page.locator("#transfer-state")).to_have_text(WAITING)
    assert clock.seconds_to_next_poll() == 1
    gaps = []
    for seconds in (10, 60, 200, 900):
        clock.forward(seconds)
        clock.seconds_to_next_poll()
        gaps.append(clock.seconds_to_next_poll())
    assert gaps == [2, 5, 15, 60]
    expect(site.page.locator("#poll-stopped")).to_be_hidden()
    clock.forward(3600)
    stopped = site.page.locator("#poll-stopped")
    expect(stopped).to_contain_text("no longer updated")
    before = clock.polls
    site.page.clock.run_for(600_000)
    assert clock.polls == before
    stopped.get_by_role("button", name="Refresh now").click()
    clock.settle()
    assert clock.polls == before + 1
    expect(stopped).to_be_hidden()
    assert clock.seconds_to_next_poll() == 1


def test_hidden_tab_does_not_poll_and_is_updated_when_it_is_shown(site: Site, abandoned: str) -> None:
    clock = Clock(site.page, abandoned)
    hide(site.page, hidden=True)
    before = clock.polls
    clock.forward(3000)
    assert clock.polls == before
    hide(site.page, hidden=False)
    clock.settle()
    assert clock.polls == before + 1
    assert clock.seconds_to_next_poll() == 1


@pytest.mark.parametrize("failure", ["connection", "busy"])
def test_page_that_cannot_be_updated_says_so(site: Site, abandoned: str, failure: str) -> None:
    site.watcher.expect(r"ERR_FAILED|503|htmx:")
    page = site.page
    clock = Clock(page, abandoned)
    failed = page.locator("#poll-failed")
    if failure == "connection":
        page.route(f"**{abandoned}*", lambda route: route.abort())
    else:
        page.route(f"**{abandoned}*", lambda route: route.fulfill(status=503, body="busy"))
    clock.seconds_to_next_poll()
    expect(failed).to_contain_text("could not be updated")
    expect(page.locator("#transfer-state")).to_have_text(WAITING)
    page.unroute(f"**{abandoned}*")
    clock.forward(10)
    expect(failed).to_be_hidden()


def test_idle_overview_is_updated_slowly(site: Site, abandoned: str) -> None:
    clock = Clock(site.page, "/")
    expect(site.page.locator(".attention")).to_contain_text("left.bin")
    clock.forward(1000)
    # What other tests have left may change now and then, and the next poll follows soon after a change.
    wait_for("a minute without a poll", lambda: clock.seconds_to_next_poll() == 60)
    clock.forward(3 * 3600)
    expect(site.page.locator("#poll-stopped")).to_be_hidden()


def test_page_changes_when_the_connection_of_the_sender_is_cut(
    open_site: OpenSite, site: Site, stack: Stack, tmp_path: Path
) -> None:
    """Another window shows what becomes of a file whose browser loses its network."""
    bucket = stack.new_bucket()
    write_file(tmp_path / "big.bin", 48 * MIB)
    with relayed(stack.url) as relay:
        sender = open_site(base_url=relay.url)
        sender.watcher.expect(Line.broken)
        sender.fill_form(bucket, part_size="5 MiB")
        Line(sender.page).slow_down(4 * MIB)
        sender.select_files(tmp_path / "big.bin")
        sender.send()
        sender.wait_until_received("big.bin", 15)
        link = sender.file("big.bin").locator("[data-part=key][href]")
        site.page.goto(link.get_attribute("href") or "")
        expect(site.page.locator("#transfer-state")).to_have_text("sending")
        expect(site.page.locator("#transfer-live")).to_contain_text("/s")
        relay.cut()
        sender.wait_for_file("big.bin", "interrupted")
        silence(stack, bucket)
        expect(site.page.locator("#transfer-state")).to_have_text(WAITING)
        notice = site.page.locator("#transfer-notice")
        expect(notice).to_contain_text("The browser has stopped sending. Select the same file again to resume.")
        link = notice.get_by_role("link", name="Select the file")
        assert f"bucket={bucket}&key=big.bin" in (link.get_attribute("href") or "")
        relay.restore()
        expect(site.page.locator("#transfer-state")).not_to_have_text(WAITING)
