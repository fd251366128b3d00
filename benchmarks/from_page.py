"""Sends a folder from the page of a new transfer in Chromium, as an operator does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request

from benchmarks import stores
from benchmarks.usage import Usage, cpu_seconds
from tests.browser.conftest import launched
from tests.browser.site import Site
from tests.browser.watching import Watcher
from tests.system.stack import Stack

PAGE = "Partway, the page in Chromium"
MOST_SECONDS = 600


class FromPage:
    """A window of the dashboard. `cpu` and `requests` have what each round has taken, without Chromium's CPU."""

    def __init__(self, stack: Stack, page: Page, store: str) -> None:
        self._stack = stack
        self._site = Site(page, stack, Watcher(page.context))
        self._site.sign_in()
        self._site.store = store
        self._sent = 0
        self.cpu: list[dict[str, float]] = []
        self.requests: list[int] = []
        page.on("request", self._note)

    def send(self, folder: Path, count: int, prefix: str) -> Usage:
        """Send the files of a folder. Counts from its selection until the last is done."""
        site, stack = self._site, self._stack
        site.fill_form(stores.BUCKET, prefix=prefix)
        expected = self._done() + count
        self._sent = 0
        before, started = cpu_seconds(stack), time.perf_counter()
        site.select_folder(folder)
        site.send()
        while self._done() < expected:
            site.page.wait_for_timeout(50)
            assert time.perf_counter() - started < MOST_SECONDS, site.page.locator("#overall-counts").inner_text()
        seconds, after = time.perf_counter() - started, cpu_seconds(stack)
        self.cpu.append({name: value - before[name] for name, value in after.items()})
        self.requests.append(self._sent)
        site.page.goto("about:blank")  # Its polls would be part of the next measurement.
        return Usage(seconds, sum(self.cpu[-1].values()))

    def _done(self) -> int:
        [(count,)] = self._stack.query("SELECT count(*) FROM uploads_transfer WHERE phase = 'done'")
        return int(count)

    def _note(self, request: Request) -> None:
        self._sent += urlsplit(request.url).path.startswith("/files/")


@contextmanager
def opened(stack: Stack, store: str) -> Iterator[FromPage]:
    """The page, signed in, for transfers to this store."""
    with launched() as browser:
        yield FromPage(stack, _window(browser, stack), store)


def _window(browser: Browser, stack: Stack) -> Page:
    return browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 900}).new_page()
