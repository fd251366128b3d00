"""Chromium and the live stack. Pages must cause no console error and no CSP violation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from tests.browser.site import Site
from tests.browser.watching import Watcher
from tests.stores.swift import Accounts
from tests.system.direct_store import DirectStore
from tests.system.stack import PATIENCE, Stack
from uploads.objectstore.types import Credentials, StoreConfig

# The browser sends no requests of its own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenSite = Callable[..., Site]


def chromium() -> str:
    """The path in CHROMIUM, otherwise the machine's Chromium, of which the one without windows needs less time."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "The tests need Chromium: apt-get install chromium, or set CHROMIUM to its path."
    return path


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield launch(playwright)


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the session: Playwright's event loop would break Django's database calls in later tests of the process.
    with launched() as browser:
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, stack: Stack) -> Any:
    """The cookies of the administrator, who signs in once."""
    context = browser.new_context(base_url=stack.url)
    Site(context.new_page(), stack, Watcher(context)).sign_in()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_site(browser: Browser, stack: Stack, signed_in: Any) -> Iterator[OpenSite]:
    """Open the site in a new window, signed in. Keyword arguments go to Playwright's new_context()."""
    watchers: list[Watcher] = []
    with ExitStack() as closing:

        def open_(**options: Any) -> Site:
            context: BrowserContext = browser.new_context(
                **{
                    "base_url": stack.url,
                    "storage_state": signed_in,
                    "viewport": {"width": 1280, "height": 900},
                    # Animations are drawn by the processor, which other tests need.
                    "reduced_motion": "reduce",
                    **options,
                }
            )
            closing.callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            watcher = Watcher(context)
            watchers.append(watcher)
            return Site(context.new_page(), stack, watcher)

        yield open_
    for watcher in watchers:
        watcher.check()


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    """The site, signed in."""
    return open_site()


@pytest.fixture
def page(site: Site) -> Page:
    return site.page


@pytest.fixture
def bucket(stack: Stack) -> str:
    return stack.new_bucket()


@pytest.fixture(scope="session")
def on_swift(stack: Stack, swift_accounts: Accounts) -> DirectStore:
    """A Swift as another store of the stack."""
    running = swift_accounts.new()
    keys = Credentials(running.access_key, running.secret_key)
    config = StoreConfig(running.endpoint_url, running.region, keys, provider="swift")
    return stack.add_unchecked_store("with-swift", config, running.new_bucket)


@pytest.fixture
def nothing_unfinished(stack: Stack) -> None:
    """Cancel the unfinished transfers of other tests: they use quota and appear on the page of a new transfer."""
    with stack.signed_in() as operator:
        for state in (
            "receiving",
            "sending",
            "waiting-for-browser",
            "waiting-for-space",
            "waiting-for-store",
            "paused",
            "failed",
        ):
            for transfer in operator.get_json(f"/transfers/?state={state}")["transfers"]:
                operator.post(f"/transfers/{transfer['id']}/cancel/")
                operator.wait_for_state(transfer["id"], "cancelled", "done")
