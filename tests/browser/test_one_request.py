"""A small file alone is sent with its creation, in one request: however that fails, one transfer has its bytes."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import KIB, MIB, write_file
from tests.browser.line import Line
from tests.browser.relay import BLOCK, Relay
from tests.browser.site import Site
from tests.proxies import proxied
from tests.system.stack import Stack, wait_for

FILES = "/files/"
CREATION = b"POST /files/ "
KEY = "small.bin"
CONFLICT = "status of 409"
Proxy = Callable[[str], AbstractContextManager[str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / KEY
    write_file(path, 300 * KIB)
    return path


@pytest.fixture
def proxy(stack: Stack, tmp_path: Path) -> Proxy:
    """Starts nginx with these directives in front of the stack; its URL."""

    def start(directives: str) -> AbstractContextManager[str]:
        folder = tmp_path / "nginx"
        folder.mkdir()
        return proxied(folder, directives, target=stack.url)

    return start


class Sent:
    """The requests of tus that a page has sent: POST with its number of bytes, others with their offset."""

    def __init__(self, page: Page) -> None:
        self.all: list[tuple[str, int]] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if urlsplit(request.url).path.startswith(FILES):
            headers = request.headers
            size = int(headers.get("upload-length", 0)) if "content-type" in headers else 0
            self.all.append((request.method, size if request.method == "POST" else int(headers["upload-offset"])))

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.all]


def phases(stack: Stack, bucket: str) -> list[str]:
    rows = stack.query("SELECT phase FROM uploads_transfer WHERE bucket = ? ORDER BY created_at", bucket)
    return [phase for (phase,) in rows]


def check(stack: Stack, bucket: str, file: Path, key: str = KEY) -> None:
    """Check that one transfer has made the object, of these bytes."""
    content = file.read_bytes()
    assert stack.object_digest(bucket, key) == (len(content), hashlib.sha256(content).hexdigest())
    assert phases(stack, bucket) == ["done"]


def wait_for_phase(site: Site, stack: Stack, bucket: str, *expected: str) -> None:
    def is_there() -> bool:
        site.page.wait_for_timeout(50)  # Playwright delivers the page's events during the wait.
        return phases(stack, bucket) == list(expected)

    wait_for(f"the phases {expected}", is_there)


# --- How many requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 10 * KIB, MIB], ids=["empty", "one byte", "10 KiB", "1 MiB"])
@pytest.mark.parametrize("verify", [False, True], ids=["plain", "verified"])
def test_small_file_takes_one_request(
    site: Site, stack: Stack, bucket: str, tmp_path: Path, *, size: int, verify: bool
) -> None:
    path = tmp_path / KEY
    digest = write_file(path, size)
    sent = Sent(site.page)
    site.select_file(bucket, path)
    if verify:
        site.page.get_by_label("Compute it in the browser while sending").check()
    site.send()
    site.wait_for_file(KEY, "done")
    assert sent.all == [("POST", size)]
    check(stack, bucket, path)
    if verify:
        assert stack.query("SELECT sha256 FROM uploads_transfer WHERE bucket = ?", bucket) == [(digest,)]


def test_larger_file_is_created_first(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    """Its fingerprint does not cover all of its bytes."""
    path = tmp_path / KEY
    write_file(path, MIB + 1)
    sent = Sent(site.page)
    site.select_file(bucket, path)
    site.send()
    site.wait_for_file(KEY, "done")
    assert sent.all == [("POST", 0), ("PATCH", 0)]
    check(stack, bucket, path)


# --- Lost responses ---------------------------------------------------------------------------------------------------


class LosingRelay(Relay):
    """The first creations arrive, and their responses do not. Between the two, `before_loss` runs.

    Chromium itself repeats a request whose connection was open before and ends without a response.
    """

    def __init__(self, url: str, count: int, before_loss: Callable[[], None] = lambda: None) -> None:
        self.left = count
        self._before_loss = before_loss
        self._losing: set[socket.socket] = set()
        super().__init__(url)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(BLOCK):
                if block.startswith(CREATION) and self.left:
                    self.left -= 1
                    self._losing.add(target)
                if source in self._losing:
                    assert block.startswith(b"HTTP/1.1 201"), block
                    self._before_loss()
                    break
                target.sendall(block)
        self._close(source)
        self._close(target)


@pytest.mark.parametrize("lost", [1, 3], ids=["once", "several times"])
@pytest.mark.parametrize("replace", [False, True], ids=["new", "replacing"])
@pytest.mark.parametrize("is_done", [True, False], ids=["done", "unfinished"])
def test_lost_response_makes_no_second_transfer(
    open_site: OpenSite, stack: Stack, bucket: str, file: Path, *, is_done: bool, replace: bool, lost: int
) -> None:
    """The creation is repeated, also without the bytes, and its object is that of its own file."""

    def wait() -> None:
        if is_done:
            wait_for("the object", lambda: phases(stack, bucket) == ["done"])

    relay = LosingRelay(stack.url, 0 if replace else lost, wait)
    site = open_site(base_url=relay.url)
    site.watcher.expect(f"{Line.broken}|{CONFLICT}")
    if replace:
        stack.s3.put_object(Bucket=bucket, Key=KEY, Body=b"before")
    site.select_file(bucket, file)
    if not is_done:
        stack.freeze("sender")
    try:
        site.send()
        if replace:
            site.wait_for_file(KEY, "confirm")
            relay.left = lost
            site.step(KEY, "replace")
        site.wait_for_file(KEY, "done" if is_done else "storing")
    finally:
        stack.thaw("sender")
    site.wait_for_file(KEY, "done")
    assert not relay.left
    check(stack, bucket, file)
    relay.cut()


def test_same_file_is_asked_about_when_it_is_sent_again(site: Site, stack: Stack, bucket: str, file: Path) -> None:
    """The same request, repeated, is not the same file, sent again by an operator."""
    site.watcher.expect(CONFLICT)
    for state in ("done", "confirm"):
        site.select_file(bucket, file)
        site.send()
        site.wait_for_file(KEY, state)
    check(stack, bucket, file)


# --- Proxies ----------------------------------------------------------------------------------------------------------


def behind(open_site: OpenSite, url: str) -> Site:
    site = open_site(base_url=url)
    site.watcher.expect(r"status of \d|ERR_")
    return site


@pytest.mark.parametrize(
    ("directives", "most_with_creation"),
    [
        pytest.param("location = /files/ { client_max_body_size 100k; $pass }", 100 * KIB, id="limit"),
        pytest.param("location = /files/ { if ($http_content_type) { return 403; } $pass }", 0, id="403"),
    ],
)
def test_proxy_that_refuses_the_bytes_gets_them_later(
    open_site: OpenSite,
    proxy: Proxy,
    stack: Stack,
    bucket: str,
    file: Path,
    tmp_path: Path,
    *,
    directives: str,
    most_with_creation: int,
) -> None:
    with proxy(directives + " client_max_body_size 0;") as url:
        site = behind(open_site, url)
        sent = Sent(site.page)
        site.select_file(bucket, file)
        site.send()
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)
        assert sent.all[:2] == [("POST", 300 * KIB), ("POST", 0)]
        # The tab remembers it, after a reload too.
        sent.all.clear()
        write_file(tmp_path / "less", 50 * KIB)
        for count, path in enumerate((file, tmp_path / "less"), start=1):
            site.fill_form(bucket, prefix=f"again-{count}/")
            site.select_files(path)
            site.send()
            site.wait_for_files("done", 1)
        with_bytes = [size for method, size in sent.all if method == "POST" and size]
        assert with_bytes == ([50 * KIB] if most_with_creation else [])


def test_proxy_that_resets_the_bytes_gets_them_later(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path
) -> None:
    resets = "location = /files/ { if ($http_content_type) { return 444; } $pass } reset_timedout_connection on;"
    with proxy(resets + " client_max_body_size 0;") as url:
        site = behind(open_site, url)
        site.select_file(bucket, file)
        site.send()
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)


# --- Steps while it is sent -------------------------------------------------------------------------------------------


@pytest.fixture
def slow(site: Site, bucket: str, tmp_path: Path) -> Line:
    """A file of 1 MiB is being sent over a slow connection: its creation was received, and has no response."""
    write_file(tmp_path / KEY, MIB)
    site.watcher.expect(Line.broken)
    site.select_file(bucket, tmp_path / KEY)
    line = Line(site.page)
    line.slow_down(64 * KIB)
    site.send()
    site.wait_until_received(KEY, 20)
    return line


def test_paused_while_it_is_sent(site: Site, stack: Stack, bucket: str, tmp_path: Path, slow: Line) -> None:
    sent = Sent(site.page)
    site.step(KEY, "pause")
    site.wait_for_file(KEY, "paused")
    # The server is told too.
    expect(site.file(KEY).locator("[data-part=key][href]")).to_be_visible()
    with stack.signed_in() as operator:
        [transfer] = [each for each in operator.get_json("/transfers/")["transfers"] if each["bucket"] == bucket]
    assert transfer["state"] == "paused"
    site.page.wait_for_timeout(1500)
    site.wait_for_file(KEY, "paused")
    assert sent.all == []
    slow.restore()
    site.step(KEY, "resume")
    site.wait_for_file(KEY, "done")
    check(stack, bucket, tmp_path / KEY)


def test_cancelled_while_it_is_sent(site: Site, stack: Stack, bucket: str, slow: Line) -> None:
    site.step(KEY, "cancel")
    slow.restore()
    site.wait_for_file(KEY, "cancelled")
    wait_for_phase(site, stack, bucket, "cancelled")


def test_paused_and_cancelled_while_it_is_sent(site: Site, stack: Stack, bucket: str, slow: Line) -> None:
    site.step(KEY, "pause")
    site.wait_for_file(KEY, "paused")
    slow.restore()
    site.step(KEY, "cancel")
    dialog = site.page.get_by_role("dialog")
    if dialog.is_visible():
        site.confirm_cancel()
    site.wait_for_file(KEY, "cancelled")
    wait_for_phase(site, stack, bucket, "cancelled")


def test_cancelled_after_its_response_was_lost(open_site: OpenSite, stack: Stack, bucket: str, file: Path) -> None:
    """Only the server knows its transfer, which ends too."""
    stack.freeze("sender")
    try:
        relay = LosingRelay(stack.url, 1000)
        site = open_site(base_url=relay.url)
        site.watcher.expect(Line.broken)
        site.select_file(bucket, file)
        site.send()
        site.wait_for_file(KEY, "interrupted")
        site.step(KEY, "cancel")
        site.wait_for_file(KEY, "cancelled")
    finally:
        stack.thaw("sender")
    wait_for_phase(site, stack, bucket, "cancelled")


def test_sent_again_after_it_was_cancelled(site: Site, stack: Stack, bucket: str, file: Path, slow: Line) -> None:
    site.step(KEY, "pause")
    site.wait_for_file(KEY, "paused")
    site.step(KEY, "cancel")
    dialog = site.page.get_by_role("dialog")
    if dialog.is_visible():
        site.confirm_cancel()
    site.wait_for_file(KEY, "cancelled")
    slow.restore()
    site.step(KEY, "again")
    site.wait_for_file(KEY, "done")
    assert sorted(phases(stack, bucket)) == ["cancelled", "done"]
