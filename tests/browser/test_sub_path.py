"""The whole site in the browser below a path, behind nginx with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Request, expect

from tests.browser.files import write_file
from tests.browser.site import Site
from tests.browser.watching import Watcher
from tests.proxies import SUB_PATH, BehindTls
from tests.system.stack import MIB, PATIENCE, Stack


@pytest.fixture
def requested() -> list[str]:
    """The paths of all requests of the browser."""
    return []


@pytest.fixture(params=["kept", "removed"])
def site(
    request: pytest.FixtureRequest, browser: Browser, behind_tls: BehindTls, requested: list[str]
) -> Iterator[Site]:
    """Signed out, behind an nginx that keeps the path, and behind one that removes it."""
    url = behind_tls.url if request.param == "kept" else behind_tls.removing_url

    def note(sent: Request) -> None:
        if not sent.url.startswith("data:"):
            requested.append(sent.url)

    context = browser.new_context(base_url=url.removesuffix(SUB_PATH), ignore_https_errors=True)
    context.set_default_timeout(PATIENCE * 1000)
    context.on("request", note)
    watcher = Watcher(context)
    yield Site(context.new_page(), behind_tls.stack, watcher, SUB_PATH)
    context.close()
    watcher.check()


def test_file_is_sent_and_watched_below_the_path(
    site: Site, stack: Stack, requested: list[str], tmp_path: Path
) -> None:
    digest = write_file(tmp_path / "file.bin", 7 * MIB)
    bucket = stack.new_bucket()
    page = site.page
    # The login leads to the page that was requested.
    site.goto(f"/transfers/new/?bucket={bucket}")
    site.fill_login()
    expect(page.get_by_role("heading", name="New transfer")).to_be_visible()
    cookies = page.context.cookies()
    assert {(cookie["path"], cookie["secure"]) for cookie in cookies} == {(f"{SUB_PATH}/", True)}
    # Uppy, the worker with the SHA-256, the lookups and polls.
    site.select_file(bucket, tmp_path / "file.bin", part_size="5 MiB")
    page.get_by_label("Compute it in the browser while sending").check()
    expect(page.locator("#plan")).to_contain_text("2 parts")
    site.send()
    site.wait_for_file("file.bin", "done")
    assert stack.object_digest(bucket, "file.bin") == (7 * MIB, digest)
    site.wait_for_transfer("done")
    # A page with polls of htmx, and signing out.
    site.goto("/")
    expect(page.locator("#overview-live")).to_be_visible()
    page.get_by_label("Signed in as admin").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert urlsplit(page.url).path == f"{SUB_PATH}/login/"
    assert [url for url in requested if not urlsplit(url).path.startswith(f"{SUB_PATH}/")] == []
