"""Takes the screenshots of docs/screenshots from a running Partway: `python -m benchmarks.screenshots [FOLDER]`.

It uses a stack with the demo bucket, a transfer that is stopped half-way, and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, ViewportSize, expect

from local import demo, installation
from tests.browser.conftest import launched
from tests.browser.line import Line
from tests.browser.site import Site
from tests.browser.watching import Watcher
from tests.system.sending import SlowForm
from tests.system.stack import MIB, Operator, Stack, running, wait_for

FOLDER = installation.PROJECT / "docs" / "screenshots"
BUCKET = installation.BUCKET

PART = 8 * MIB
PARTS = 48
LIVE_KEY = "video/masters/trailer-4k.mov"
FINISHED = ("exports/customers-2026-11.csv", "photos/Zürich/Bahnhof.jpg", "logs/web-1/2026-11-24.log.gz")

DESK = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)

START_AFTER = "backups/2026-10/db-31.dump"
"""The key before several uploads of one key, a double slash and a space."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partway-pictures-") as temporary:
        scratch = Path(temporary)
        with running(scratch / "var", embedded=True) as stack, stack.signed_in() as operator, launched() as browser:
            demo.seed(stack.direct_store.config, BUCKET, scratch / "seed", _ignore_progress)
            for key in FINISHED:
                done = operator.send_file(stack.store, BUCKET, key, bytes(300_000))
                operator.wait_for_state(done, "done")
            scan(stack, operator)
            with half_way(stack, operator) as live:
                Camera(browser, stack, folder, live, scratch).take_all()


def _ignore_progress(_done: int, _total: int) -> None:
    pass


def scan(stack: Stack, operator: Operator) -> None:
    """The overview then knows the hidden bytes."""
    url = operator.post("/inventory/scans/", {"store": stack.store}).json()["url"]
    wait_for("the scan", lambda: operator.get_json(url)["state"] == "done")


@contextmanager
def half_way(stack: Stack, operator: Operator) -> Iterator[str]:
    """A transfer with parts in every state. Yields its id."""
    fields = {"store": stack.store, "bucket": BUCKET, "key": LIVE_KEY, "part-size": PART}
    with SlowForm(operator, fields, PARTS * PART, filename="trailer-4k.mov") as form:
        form.send(2 * PART)
        rows = wait_for("the transfer", lambda: operator.get_json("/transfers/?state=sending")["transfers"])
        live = str(rows[0]["id"])
        form.send(20 * PART)
        wait_for("half of the parts", lambda: operator.transfer(live)["parts"]["sent"] >= 20)
        stack.freeze("store-object")
        form.send(10 * PART)
        wait_for("staged parts", lambda: operator.transfer(live)["parts"]["received"] >= 31)
        yield live
        stack.thaw("store-object")


class Camera:
    def __init__(self, browser: Browser, stack: Stack, folder: Path, live: str, scratch: Path) -> None:
        self._browser = browser
        self._stack = stack
        self._folder = folder
        self._live = live
        self._scratch = scratch
        self._state: Any = None

    def take_all(self) -> None:
        uploads = f"/stores/{self._stack.store}/{BUCKET}/uploads/"
        desk = self._open(DESK)
        # First of all: after a while the attempts to send to the frozen store fail.
        phone = self._open(PHONE, color_scheme="dark", device_scale_factor=2)
        self._visit(phone, "transfer-phone", f"/transfers/{self._live}/")
        self._visit(desk, "transfer", f"/transfers/{self._live}/")
        self._visit(desk, "overview", "/")
        # The next pages send requests for objects to the store.
        self._stack.thaw("store-object")
        self._new_transfer(self._open(DESK))
        self._uploads(desk, "uploads")
        self._uploads(self._open(DESK, color_scheme="dark"), "uploads-dark")
        self._visit(desk, "upload", uploads + self._upload_url("detail", demo.GAP_KEY))
        self._visit(desk, "complete", uploads + self._upload_url("complete", demo.READY_KEY), full_page=True)

    def _open(self, size: ViewportSize, **options: Any) -> Site:
        context = self._browser.new_context(
            base_url=self._stack.url, viewport=size, storage_state=self._state, reduced_motion="reduce", **options
        )
        site = Site(context.new_page(), self._stack, Watcher(context))
        if self._state is None:
            site.sign_in()
            self._state = context.storage_state()
        return site

    def _visit(self, site: Site, name: str, path: str, *, full_page: bool = False) -> None:
        site.page.goto(path)
        self._save(site, name, full_page=full_page)

    def _save(self, site: Site, name: str, *, full_page: bool = False) -> None:
        # Wait for what the page loads later: the facts of visible rows, the picture of all parts, the states of stores.
        site.page.wait_for_timeout(1500)
        expect(site.page.locator(".htmx-request")).to_have_count(0)
        site.page.screenshot(path=self._folder / f"{name}.png", full_page=full_page)
        site.watcher.check()

    def _uploads(self, site: Site, name: str) -> None:
        site.open_listing(BUCKET, key_marker=START_AFTER)
        for number in (1, 2):
            site.row("backups/nightly.tar").nth(number).get_by_role("checkbox").check()
        site.page.mouse.click(2, 400)  # Remove the focus from all elements.
        self._save(site, name)

    def _new_transfer(self, site: Site) -> None:
        """Files that are sent over a slow connection. One is paused, one is done."""
        sizes = {
            "slate.jpg": 2,
            "interview-day-1.mov": 96,
            "interview-day-2.mov": 128,
            "harbour.mov": 64,
            "tone.wav": 24,
        }
        folder = self._scratch / "raw"
        folder.mkdir()
        for name, size in sizes.items():
            with (folder / name).open("wb") as empty:
                empty.truncate(size * MIB)
        site.fill_form(BUCKET, prefix="video/", metadata="project: harbour\ncamera: B", part_size="8 MiB")
        site.select_folder(folder)
        Line(site.page).slow_down(12 * MIB)
        site.send()
        site.wait_for_file("video/raw/slate.jpg", "done")
        site.wait_until_received("video/raw/interview-day-2.mov", 12)
        site.step("video/raw/harbour.mov", "pause")
        site.wait_for_file("video/raw/harbour.mov", "paused")
        site.page.mouse.click(2, 400)  # Remove the focus from all elements.
        self._save(site, "new-transfer", full_page=True)

    def _upload_url(self, page: str, key: str) -> str:
        """The URL of a page about the newest upload of a key."""
        upload_ids = [upload_id for name, upload_id in self._stack.uploads_in(BUCKET) if name == key]
        return f"{page}/?key={quote(key, safe='')}&upload-id={upload_ids[0]}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
