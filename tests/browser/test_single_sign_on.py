"""Signing in and out with a real OpenID provider in Chromium, under the CSP of the site."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.relay import Relay, relayed
from tests.browser.site import Site
from tests.browser.watching import overflow
from tests.openid import Provider
from tests.system.stack import MIB, Stack

SIZE = 40 * MIB
RATE = 4 * MIB
KEY = "in/big.bin"
BUTTON = "Sign in with Example ID"
CLAIMS = {"preferred_username": "vera", "groups": ["media"]}

GRANT = """
from django.contrib.auth.models import Group
from uploads.models import Grant
Grant.objects.get_or_create(group=Group.objects.get_or_create(name="Media")[0], role="operator")
"""


@pytest.fixture(scope="module")
def relay(stack: Stack, openid: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A web server of the stack with single sign-on. Members of the provider's group may send files."""
    settings = openid.settings(
        OIDC_SCOPES="openid profile email groups", OIDC_GROUP_ROLES="media=Media", OIDC_SECONDS="30"
    )
    openid.add_user("vera", **CLAIMS)
    stack.run_python(GRANT)
    log = tmp_path_factory.mktemp("sso") / "web.log"
    with stack.another_web_server(log, **settings) as url, relayed(url) as relay:
        openid.allow(relay.url)
        yield relay


@pytest.fixture
def site(open_site: OpenSite, relay: Relay) -> Site:
    """The site, on a phone, and nobody is signed in."""
    return open_site(base_url=relay.url, storage_state=None, viewport={"width": 390, "height": 844})


def end_sessions(stack: Stack) -> None:
    """In the database, as the limits of sessions do."""
    database = stack.environment["DATABASE_URL"].removeprefix("sqlite:///")
    with sqlite3.connect(database, timeout=20) as connection:
        connection.execute(
            "DELETE FROM uploads_session WHERE user_id IN (SELECT id FROM auth_user WHERE username = 'vera')"
        )
    connection.close()


def sign_in(page: Page) -> None:
    """From the login page to the provider and back."""
    page.get_by_role("link", name=BUTTON).click()
    page.locator("[name=login]").fill("vera")
    page.get_by_role("button", name="Continue").click()


def test_person_signs_in_and_out(site: Site, relay: Relay, openid: Provider) -> None:
    page = site.page
    page.goto("/audit/?actor=vera")
    assert overflow(page) == 0
    sign_in(page)
    page.wait_for_url(f"{relay.url}/audit/?actor=vera")
    page.get_by_label("Signed in as vera").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    # A page of ours led here: the CSP does not let a form be redirected to the provider.
    page.wait_for_url(f"{openid.issuer}/session/end?**")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{relay.url}/login/?state=**")
    page.get_by_role("link", name=BUTTON).click()
    expect(page.locator("[name=login]")).to_be_visible()


def test_provider_that_is_down_is_explained(site: Site, relay: Relay, openid: Provider) -> None:
    page = site.page
    site.watcher.expect("status of (503|400)")
    openid.stop()
    try:
        page.goto("/login/?next=/transfers/")
        with suppress(Error):  # The browser cannot open the page of the provider.
            site.follow(BUTTON)
        # The process may still know the addresses of the provider.
        if openid.issuer in page.url or page.url.startswith("chrome-error"):
            site.watcher.complaints.clear()
            page.goto("/login/sso/callback/?code=a&state=b")
    finally:
        openid.start()
    expect(page.get_by_role("heading", name="Not signed in")).to_be_visible()
    assert overflow(page) == 0
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("[name=login]")).to_be_visible()


def test_upload_resumes_after_signing_in_again(site: Site, stack: Stack, relay: Relay, tmp_path: Path) -> None:
    bucket, file = stack.new_bucket(), tmp_path / "big.bin"
    digest = write_file(file, SIZE)
    site.watcher.expect(Line.broken)
    site.watcher.expect("status of 40[13]")
    site.page.goto("/login/")
    sign_in(site.page)
    site.page.wait_for_url(f"{relay.url}/")
    site.fill_form(bucket, prefix="in/", part_size="5 MiB")
    line = Line(site.page)
    line.slow_down(RATE)
    site.select_files(file)
    site.send()
    site.wait_until_received(KEY, 15)
    end_sessions(stack)
    relay.cut()
    relay.restore()
    notice = site.page.locator("#signed-out")
    expect(notice).to_contain_text("Your session has ended.")
    site.wait_for_file(KEY, "interrupted")
    received = site.received(KEY)
    with site.page.expect_popup() as opened:
        notice.get_by_role("link", name="Sign in in another tab").click()
    # The provider knows who it is.
    opened.value.get_by_role("link", name=BUTTON).click()
    opened.value.wait_for_url(f"{relay.url}/")
    opened.value.close()
    line.restore()
    site.wait_for_file(KEY, "done")
    expect(notice).to_be_hidden()
    assert received > 0
    assert stack.object_digest(bucket, KEY) == (SIZE, digest)
    rows = stack.query(
        "SELECT u.username FROM uploads_transfer t JOIN auth_user u ON u.id = t.owner_id WHERE t.bucket = ?", bucket
    )
    assert rows == [("vera",)], "one transfer, of the same user"
