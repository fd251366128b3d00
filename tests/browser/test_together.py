"""Small files are sent together, many in one request: however that request fails, each file has one transfer."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import KIB, MIB, write_file
from tests.browser.line import Line
from tests.browser.relay import BLOCK, Relay, relayed
from tests.browser.site import Site
from tests.browser.test_one_request import CONFLICT, Proxy, behind, phases, proxy, wait_for_phase  # noqa: F401
from tests.system.stack import Stack, wait_for

TOGETHER = "/files/together/"
ALONE = "/files/"


COUNT_FILES = """
window.counts = [];
const { open, send } = XMLHttpRequest.prototype;
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  this.isTogether = String(url).endsWith("/files/together/");
  return open.call(this, method, url, ...rest);
};
XMLHttpRequest.prototype.send = function (body) {
  if (this.isTogether) count(body);
  return send.call(this, body);
};
async function count(body) {
  const place = counts.push(0) - 1;
  const size = new DataView(await body.slice(0, 4).arrayBuffer()).getUint32(0);
  counts[place] = JSON.parse(await body.slice(4, 4 + size).text()).files.length;
}
"""
"""Counts the files in each request. Playwright does not see the bodies."""


class Sent:
    """The requests that a page sends from the next one that it loads: with several files, with one, and others."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.requests_together = 0
        self.alone = 0
        self.alone_with_bytes = 0
        self.others: list[str] = []
        page.add_init_script(COUNT_FILES)
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        path = urlsplit(request.url).path
        if not path.startswith(ALONE):
            self.others.append(path)
        elif path == TOGETHER:
            self.requests_together += 1
        else:
            self.alone += 1
            self.alone_with_bytes += "content-type" in request.headers

    @property
    def together(self) -> list[int]:
        """The number of files in each request with several, since the page was loaded."""
        counts: list[int] = self._page.evaluate("window.counts")
        return counts


Folder = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes files of different sizes into the folder `many`. Returns their keys."""

    def write(count: int, size: int = 1000) -> list[str]:
        for number in range(count):
            write_file(tmp_path / "many" / f"{number:02}", size + number)
        return [f"many/{number:02}" for number in range(count)]

    return write


def check(stack: Stack, bucket: str, tmp_path: Path, keys: Sequence[str]) -> None:
    """Check that each object is there, made by one transfer."""
    for key in keys:
        content = (tmp_path / key).read_bytes()
        assert stack.object_digest(bucket, key) == (len(content), hashlib.sha256(content).hexdigest()), key
    assert phases(stack, bucket) == ["done"] * len(keys)


def select(site: Site, bucket: str, tmp_path: Path) -> None:
    site.fill_form(bucket)
    site.select_folder(tmp_path / "many")


def test_two_files_are_sent_together(site: Site, stack: Stack, bucket: str, tmp_path: Path, folder: Folder) -> None:
    """The first is ready earlier. It waits for the second."""
    keys = folder(2)
    sent = Sent(site.page)
    select(site, bucket, tmp_path)
    site.send()
    site.wait_for_files("done", len(keys))
    assert (sent.together, sent.alone) == ([2], 0)
    check(stack, bucket, tmp_path, keys)


def test_folder_is_sent_together(site: Site, stack: Stack, bucket: str, tmp_path: Path, folder: Folder) -> None:
    keys = folder(70)
    sent = Sent(site.page)
    select(site, bucket, tmp_path)
    sent.others.clear()
    site.send()
    site.wait_for_files("done", len(keys))
    check(stack, bucket, tmp_path, keys)
    assert sum(sent.together) + sent.alone == len(keys)
    assert len(sent.together) < 20
    # The form is checked once, and files are looked up together. Polls depend on the time that it takes.
    others = [path for path in sent.others if path != "/transfers/"]
    assert len(others) <= 1 + 20, others


def test_objects_that_exist_are_asked_about_without_their_bytes(
    site: Site, stack: Stack, bucket: str, tmp_path: Path, folder: Folder
) -> None:
    keys = folder(40, 10_000)
    site.watcher.expect(CONFLICT)
    for key in keys:
        stack.s3.put_object(Bucket=bucket, Key=key, Body=b"before")
    sent = Sent(site.page)
    select(site, bucket, tmp_path)
    site.send()
    site.wait_for_files("confirm", len(keys))
    # Those that were under way when the first was refused.
    assert sum(sent.together) + sent.alone_with_bytes <= 10
    site.page.get_by_role("button", name="Replace all").click()
    site.wait_for_files("done", len(keys))
    check(stack, bucket, tmp_path, keys)


def test_large_verified_and_small_files_at_once(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    sizes = {"large": 3 * MIB, "empty": 0, **{f"small-{number}": 500 + number for number in range(8)}}
    for name, size in sizes.items():
        write_file(tmp_path / "many" / name, size)
    select(site, bucket, tmp_path)
    site.send()
    site.wait_for_files("done", len(sizes))
    check(stack, bucket, tmp_path, [f"many/{name}" for name in sizes])


def test_verified_files_go_alone(site: Site, stack: Stack, bucket: str, tmp_path: Path, folder: Folder) -> None:
    keys = folder(4)
    sent = Sent(site.page)
    select(site, bucket, tmp_path)
    site.page.get_by_label("Compute it in the browser while sending").check()
    site.send()
    site.wait_for_files("done", len(keys))
    check(stack, bucket, tmp_path, keys)
    assert (sent.together, sent.alone) == ([], len(keys))


def test_refused_files_do_not_stop_others(
    site: Site, stack: Stack, bucket: str, tmp_path: Path, folder: Folder
) -> None:
    keys = folder(30)
    site.watcher.expect(CONFLICT)
    for taken in (keys[3], keys[20]):
        stack.s3.put_object(Bucket=bucket, Key=taken, Body=b"before")
    select(site, bucket, tmp_path)
    site.send()
    for state, count in (("done", len(keys) - 2), ("confirm", 2)):
        expect(site.page.locator(f".file[data-state={state}]")).to_have_count(count)
    for taken in (keys[3], keys[20]):
        site.step(taken, "replace")
    site.wait_for_files("done", len(keys))
    check(stack, bucket, tmp_path, keys)


# --- Failed requests --------------------------------------------------------------------------------------------------


class LosingRelay(Relay):
    """The first requests with several files arrive, and their responses do not."""

    def __init__(self, url: str, count: int) -> None:
        self.left = count
        self._losing: set[socket.socket] = set()
        super().__init__(url)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(BLOCK):
                if block.startswith(b"POST /files/together/ ") and self.left:
                    self.left -= 1
                    self._losing.add(target)
                if source in self._losing:
                    break
                target.sendall(block)
        self._close(source)
        self._close(target)


@pytest.mark.parametrize("lost", [1, 4], ids=["once", "several times"])
def test_lost_responses_make_no_second_transfers(
    open_site: OpenSite, stack: Stack, bucket: str, tmp_path: Path, folder: Folder, lost: int
) -> None:
    keys = folder(12)
    relay = LosingRelay(stack.url, lost)
    site = open_site(base_url=relay.url)
    site.watcher.expect(f"{Line.broken}|{CONFLICT}")
    select(site, bucket, tmp_path)
    site.send()
    site.wait_for_files("done", len(keys))
    assert not relay.left or lost > 2  # Chromium repeats some itself, and two failures end such requests.
    check(stack, bucket, tmp_path, keys)
    relay.cut()


@pytest.mark.parametrize(
    "directives",
    [
        pytest.param("location = /files/together/ { client_max_body_size 1k; $pass }", id="413"),
        pytest.param("location = /files/together/ { return 403; }", id="403"),
        pytest.param("location = /files/together/ { return 405; }", id="405"),
        pytest.param("location = /files/together/ { return 444; }", id="cut"),
    ],
)
def test_proxy_that_refuses_them_gets_each_alone(
    open_site: OpenSite,
    proxy: Proxy,  # noqa: F811
    stack: Stack,
    bucket: str,
    tmp_path: Path,
    folder: Folder,
    directives: str,
) -> None:
    keys = folder(12, 20 * KIB)
    with proxy(directives + " client_max_body_size 0;") as url:
        site = behind(open_site, url)
        sent = Sent(site.page)
        select(site, bucket, tmp_path)
        site.send()
        site.wait_for_files("done", len(keys))
        check(stack, bucket, tmp_path, keys)
        assert sent.requests_together <= 6
        # The tab remembers it.
        sent.requests_together = 0
        site.page.reload()
        site.fill_form(bucket, prefix="again/")
        site.select_folder(tmp_path / "many")
        site.send()
        site.wait_for_files("done", len(keys))
        assert sent.requests_together <= (4 if "444" in directives else 0)


def test_proxy_with_a_limit_gets_fewer_files_at_a_time(
    open_site: OpenSite,
    proxy: Proxy,  # noqa: F811
    stack: Stack,
    bucket: str,
    tmp_path: Path,
    folder: Folder,
) -> None:
    keys = folder(24, 100 * KIB)
    with proxy("location = /files/together/ { client_max_body_size 300k; $pass } client_max_body_size 0;") as url:
        site = behind(open_site, url)
        sent = Sent(site.page)
        select(site, bucket, tmp_path)
        site.send()
        site.wait_for_files("done", len(keys))
        check(stack, bucket, tmp_path, keys)
        assert sent.together[-1] <= 2


def test_request_goes_on_after_signing_in_again(
    site: Site, stack: Stack, bucket: str, tmp_path: Path, folder: Folder
) -> None:
    keys = folder(12)
    site.watcher.expect("status of 401")
    select(site, bucket, tmp_path)

    def refuse(route: Route) -> None:
        body = {"error": {"code": "NotSignedIn", "message": "Sign in.", "request_id": ""}}
        route.fulfill(status=401, json=body, headers={"Partway-Response": "1"})

    site.page.route(f"**{TOGETHER}", refuse)
    site.page.route(f"**{ALONE}", refuse)
    site.send()
    expect(site.page.locator("#signed-out")).to_be_visible()
    expect(site.page.locator(".file[data-state=interrupted]").first).to_be_visible()
    site.page.unroute(f"**{TOGETHER}")
    site.page.unroute(f"**{ALONE}")
    site.wait_for_files("done", len(keys))
    check(stack, bucket, tmp_path, keys)


# --- Steps while they are sent ----------------------------------------------------------------------------------------


@pytest.fixture
def slow(site: Site, bucket: str, tmp_path: Path, folder: Folder) -> Line:
    """Two files of 600 KiB are being sent together over a slow connection."""
    folder(2, 600 * KIB)
    site.watcher.expect(Line.broken)
    select(site, bucket, tmp_path)
    sent = Sent(site.page)
    line = Line(site.page)
    line.slow_down(20 * KIB)
    site.send()
    site.wait_until_received("many/00", 20)
    assert (sent.requests_together, sent.alone) == (1, 0)
    return line


def test_paused_while_it_is_sent(site: Site, stack: Stack, bucket: str, tmp_path: Path, slow: Line) -> None:
    """The request goes on, and the transfer is paused when its id is known."""
    site.step("many/01", "pause")
    site.wait_for_file("many/01", "paused")
    slow.restore()
    site.wait_for_file("many/00", "done")
    expect(site.file("many/01").locator("[data-part=key][href]")).to_be_visible()
    site.step("many/01", "resume")
    site.wait_for_file("many/01", "done")
    check(stack, bucket, tmp_path, ["many/00", "many/01"])


def test_paused_and_resumed_while_it_is_sent(site: Site, stack: Stack, bucket: str, tmp_path: Path, slow: Line) -> None:
    site.step("many/01", "pause")
    site.wait_for_file("many/01", "paused")
    site.step("many/01", "resume")
    slow.restore()
    site.wait_for_files("done", 2)
    check(stack, bucket, tmp_path, ["many/00", "many/01"])


def test_cancelled_while_it_is_sent(site: Site, stack: Stack, bucket: str, slow: Line) -> None:
    stack.freeze("sender")
    try:
        site.step("many/00", "cancel")
        slow.restore()
        site.wait_for_file("many/01", "storing")
    finally:
        stack.thaw("sender")
    site.wait_for_file("many/00", "cancelled")
    site.wait_for_file("many/01", "done")
    wait_for("one cancelled, one done", lambda: sorted(phases(stack, bucket)) == ["cancelled", "done"])


def test_reloaded_while_they_are_sent(site: Site, stack: Stack, bucket: str, tmp_path: Path, slow: Line) -> None:
    site.page.once("dialog", lambda dialog: dialog.accept())
    site.page.reload()
    slow.restore()
    select(site, bucket, tmp_path)
    site.send()
    site.wait_for_files("done", 2)
    check(stack, bucket, tmp_path, ["many/00", "many/01"])


def test_line_that_breaks(open_site: OpenSite, stack: Stack, bucket: str, tmp_path: Path, folder: Folder) -> None:
    keys = folder(2, 600 * KIB)
    with relayed(stack.url) as relay:
        site = open_site(base_url=relay.url)
        site.watcher.expect(Line.broken)
        select(site, bucket, tmp_path)
        line = Line(site.page)
        line.slow_down(20 * KIB)
        site.send()
        site.wait_until_received(keys[0], 20)
        relay.cut()
        site.wait_for_file(keys[0], "interrupted")
        relay.restore()
        line.restore()
        site.wait_for_files("done", len(keys))
        check(stack, bucket, tmp_path, keys)
