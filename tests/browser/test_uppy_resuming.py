"""A transfer from the browser survives pauses, lost connections, a killed server, a reload and a second window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.relay import relayed
from tests.browser.site import Site
from tests.system.stack import MIB, Stack

SIZE = 48 * MIB
RATE = 2 * MIB
KEY = "in/big.bin"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "big.bin"


@pytest.fixture
def digest(file: Path) -> str:
    return write_file(file, SIZE)


class Offsets:
    """The offsets of the requests that a page sends."""

    def __init__(self, page: Page) -> None:
        self.all: list[int] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.method == "PATCH":
            self.all.append(int(request.headers["upload-offset"]))


def start(site: Site, bucket: str, file: Path, *, verify: bool = False, rate: int = RATE) -> Line:
    """Send the file over a slow connection. Some of it has been received when this returns."""
    site.fill_form(bucket, prefix="in/", part_size="5 MiB")
    return send_slowly(site, file, verify=verify, rate=rate)


def send_slowly(site: Site, file: Path, *, verify: bool = False, rate: int = RATE) -> Line:
    line = Line(site.page)
    line.slow_down(rate)
    site.select_files(file)
    if verify:
        site.open_options()
        site.page.get_by_label("Compute it in the browser while sending").check()
    site.send()
    site.wait_until_received(KEY, 15)
    return line


def finish(site: Site, line: Line) -> None:
    line.restore()
    site.wait_for_file(KEY, "done")


def check(stack: Stack, bucket: str, digest: str, count: int = 1) -> None:
    """Check that one object has the right bytes, after this many transfers, and that no upload is left."""
    assert stack.object_digest(bucket, KEY) == (SIZE, digest)
    assert len(transfers(stack, bucket)) == count
    assert stack.uploads_in(bucket) == []


def transfers(stack: Stack, bucket: str) -> list[Any]:
    return stack.query("SELECT id, phase FROM uploads_transfer WHERE bucket = ?", bucket)


# --- Steps ------------------------------------------------------------------------------------------------------------


def test_pause_and_resume(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    line = start(site, bucket, file)
    site.step(KEY, "pause")
    site.wait_for_file(KEY, "paused")
    with stack.signed_in() as operator:
        [transfer] = operator.get_json("/transfers/?state=paused")["transfers"]
    site.page.wait_for_timeout(2500)  # Polling the server does not resume it.
    before = site.received(KEY)
    site.wait_for_file(KEY, "paused")
    assert before < 100
    assert transfer["key"] == KEY
    site.step(KEY, "resume")
    finish(site, line)
    check(stack, bucket, digest)


def test_resume_waits_for_the_response_to_the_pause(
    site: Site, stack: Stack, bucket: str, file: Path, digest: str
) -> None:
    """Otherwise the server may handle the resume first, refuse it, and pause the transfer after that."""
    line = start(site, bucket, file)
    held = list[Route]()
    steps = list[str]()

    def hold(route: Route) -> None:
        held.append(route)

    def note(request: Request) -> None:
        if request.url.endswith("/resume/"):
            steps.append("resume")

    site.page.route("**/pause/", hold)
    site.page.on("request", note)
    site.step(KEY, "pause")
    site.wait_for_file(KEY, "paused")
    site.step(KEY, "resume")
    site.page.wait_for_timeout(500)
    [pause] = held
    assert steps == []
    pause.continue_()
    finish(site, line)
    assert steps == ["resume"]
    check(stack, bucket, digest)


def test_pause_and_resume_elsewhere(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    site.watcher.expect("status of 423")
    line = start(site, bucket, file)
    with stack.signed_in() as operator:
        [transfer] = [each for each in operator.get_json("/transfers/")["transfers"] if each["bucket"] == bucket]
        operator.post(f"/transfers/{transfer['id']}/pause/").raise_for_status()
        site.wait_for_file(KEY, "paused")
        operator.post(f"/transfers/{transfer['id']}/resume/").raise_for_status()
        site.wait_for_file(KEY, "sending")
    finish(site, line)
    check(stack, bucket, digest)


def test_cancel_and_send_again(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    line = start(site, bucket, file)
    site.step(KEY, "cancel")
    site.confirm_cancel()
    site.wait_for_file(KEY, "cancelled")
    assert stack.uploads_in(bucket) == []
    site.step(KEY, "again")
    finish(site, line)
    check(stack, bucket, digest, count=2)


def test_cancelled_elsewhere(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    site.watcher.expect("status of 41[0-9]|status of 409")
    start(site, bucket, file)
    with stack.signed_in() as operator:
        [transfer] = [each for each in operator.get_json("/transfers/")["transfers"] if each["bucket"] == bucket]
        operator.post(f"/transfers/{transfer['id']}/cancel/").raise_for_status()
    site.wait_for_file(KEY, "cancelled")
    assert len(transfers(stack, bucket)) == 1


@contextmanager
def secret_is(stack: Stack, secret: str) -> Iterator[None]:
    """Give the dashboard this secret of the store inside the block."""

    def set_secret(value: str) -> None:
        stack.run_python(
            "from uploads.models import Store\n"
            f"store = Store.objects.get(name={stack.store!r})\nstore.secret_key = {value!r}\nstore.save()"
        )

    set_secret(secret)
    try:
        yield
    finally:
        set_secret(stack.server.secret_key)


def test_failure_in_the_store_is_retried(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    site.watcher.expect("status of 423")
    line = start(site, bucket, file, rate=RATE // 2)  # The file must not be done before the secret is wrong.
    with secret_is(stack, "wrong"):
        row = site.wait_for_file(KEY, "failed")
        expect(row.locator("[data-part=words]")).to_contain_text("credentials")
    site.step(KEY, "retry")
    finish(site, line)
    check(stack, bucket, digest)


def test_all_are_paused_resumed_and_cancelled(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    names = [f"{number}.bin" for number in range(4)]
    for name in names:
        write_file(tmp_path / name, 6 * MIB)
    site.fill_form(bucket, part_size="5 MiB")
    site.select_files(*(tmp_path / name for name in names))
    Line(site.page).slow_down(MIB // 4)  # No file may arrive before it is cancelled.
    site.send()
    site.wait_until_received(names[0], 1)
    site.page.get_by_role("button", name="Pause all").click()
    site.wait_for_files("paused", 4)
    site.page.get_by_role("button", name="Resume all").click()
    site.wait_for_files("sending", 4)
    site.page.get_by_role("button", name="Cancel all").click()
    site.confirm_cancel()
    site.wait_for_files("cancelled", 4)
    site.page.get_by_role("button", name="Clear finished").click()
    expect(site.files).to_have_count(0)
    expect(site.page.get_by_role("button", name="Select files")).to_be_visible()
    assert stack.uploads_in(bucket) == []


# --- Interruptions ----------------------------------------------------------------------------------------------------


def test_connection_is_lost_for_a_while(
    open_site: OpenSite, stack: Stack, bucket: str, file: Path, digest: str
) -> None:
    with relayed(stack.url) as relay:
        site = open_site(base_url=relay.url)
        site.watcher.expect(Line.broken)
        line = start(site, bucket, file)
        offsets = Offsets(site.page)
        relay.cut()
        row = site.wait_for_file(KEY, "interrupted")
        expect(row.locator("[data-part=words]")).to_contain_text("The connection is lost")
        site.page.wait_for_timeout(7000)  # Longer than several attempts.
        relay.restore()
        finish(site, line)
        assert min(offsets.all) > 0
        check(stack, bucket, digest)


@pytest.fixture
def web_is_restored(stack: Stack) -> Iterator[None]:
    yield
    if "web" not in stack._processes:
        stack.start("web")


@pytest.mark.usefixtures("web_is_restored")
def test_web_server_is_killed(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    site.watcher.expect(Line.broken)
    line = start(site, bucket, file, verify=True)
    offsets = Offsets(site.page)
    stack.kill("web")
    site.wait_for_file(KEY, "interrupted")
    stack.start("web")
    finish(site, line)
    assert min(offsets.all) > 0
    check(stack, bucket, digest)


def test_session_ends(open_site: OpenSite, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    with relayed(stack.url) as relay:
        site = open_site(base_url=relay.url)
        site.watcher.expect(Line.broken)
        site.watcher.expect("status of 40[13]")
        line = start(site, bucket, file)
        site.page.context.clear_cookies(name="partway_session")
        relay.cut()
        relay.restore()
        notice = site.page.locator("#signed-out")
        expect(notice).to_contain_text("Your session has ended.")
        site.wait_for_file(KEY, "interrupted")
        with site.page.expect_popup() as opened:
            notice.get_by_role("link", name="Sign in in another tab").click()
        Site(opened.value, stack, site.watcher).sign_in()
        opened.value.close()
        finish(site, line)
        expect(notice).to_be_hidden()
        check(stack, bucket, digest)


# --- The same file, selected again ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [False, True], ids=["plain", "verified"])
def test_reload_in_the_middle(site: Site, stack: Stack, bucket: str, file: Path, digest: str, *, verify: bool) -> None:
    start(site, bucket, file, verify=verify)
    with stack.signed_in() as operator:
        site.page.reload()  # Chromium asks for confirmation, and Playwright accepts.
        [before] = [each for each in operator.get_json("/transfers/")["transfers"] if each["bucket"] == bucket]
    offsets = Offsets(site.page)
    # The destination is the same as before. The part size is that of the first attempt, whatever the form says.
    expect(site.page.locator("[name=prefix]")).to_have_value("in/")
    line = send_slowly(site, file, verify=verify)
    finish(site, line)
    assert offsets.all[0] >= before["bytes_received"] > 0
    check(stack, bucket, digest)


def test_crash_of_the_browser(open_site: OpenSite, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    first = open_site()
    start(first, bucket, file)
    first.page.context.close()
    second = open_site()
    offsets = Offsets(second.page)
    line = start(second, bucket, file)
    finish(second, line)
    assert offsets.all[0] > 0
    check(stack, bucket, digest)


def test_two_windows_share_one_transfer(
    open_site: OpenSite, stack: Stack, bucket: str, file: Path, digest: str
) -> None:
    first, second = open_site(), open_site()
    for site in (first, second):
        site.watcher.expect("status of (409|423)")
    line = start(first, bucket, file, rate=RATE // 2)
    second.fill_form(bucket, prefix="in/", part_size="5 MiB")
    second.select_files(file)
    second.send()
    second.wait_for_file(KEY, "interrupted")
    expect(second.file(KEY).locator("[data-part=words]")).to_contain_text("Another window")
    finish(first, line)
    second.wait_for_file(KEY, "done")
    check(stack, bucket, digest)


def test_window_resumes_after_another_was_closed(
    open_site: OpenSite, stack: Stack, bucket: str, file: Path, digest: str
) -> None:
    first, second = open_site(), open_site()
    second.watcher.expect("status of (409|423)")
    start(first, bucket, file)
    second.fill_form(bucket, prefix="in/")
    second.select_files(file)
    second.send()
    second.wait_for_file(KEY, "interrupted")
    first.page.context.close()
    second.wait_for_file(KEY, "done")
    check(stack, bucket, digest)


def test_different_file_with_the_same_name_is_a_new_transfer(
    site: Site, stack: Stack, bucket: str, file: Path, digest: str, tmp_path: Path
) -> None:
    """The files have the same name, size and key, but different bytes: they are never mixed."""
    site.watcher.expect("status of 409")
    assert digest
    start(site, bucket, file)
    site.page.reload()
    other = tmp_path / "other" / "big.bin"
    other.parent.mkdir()
    other.write_bytes(bytes(SIZE))
    site.select_files(other)
    site.send()
    row = site.wait_for_file(KEY, "busy")
    expect(row.locator("[data-part=words]")).to_contain_text("is unfinished")
    assert len(transfers(stack, bucket)) == 1


def test_unfinished_transfer_is_offered(site: Site, stack: Stack, bucket: str, file: Path, digest: str) -> None:
    start(site, bucket, file)
    site.page.goto("/")
    stack.run_python(
        "from datetime import timedelta\nfrom django.db.models import F\nfrom uploads.models import Transfer\n"
        f"Transfer.objects.filter(bucket={bucket!r}).update(received_at=F('received_at') - timedelta(hours=1))"
    )
    site.page.goto("/transfers/new/")
    offer = site.page.locator(".unfinished li").filter(has_text=KEY).filter(has_text=bucket)
    with site.page.expect_file_chooser() as choosing:
        offer.get_by_role("button", name="Select its file").click()
    choosing.value.set_files(file)
    assert site.file_keys == [KEY]
    # Each file has one row: the card does not repeat what the list shows.
    expect(offer).to_be_hidden()
    site.send()
    site.wait_for_file(KEY, "done")
    check(stack, bucket, digest)
    site.page.get_by_role("button", name="Clear finished").click()
    expect(offer).to_have_count(0)
