"""Limits of a user: the page waits as long as the server asks for, says why, and continues by itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.files import write_file
from tests.browser.site import Site
from tests.system.stack import Stack

TEXT = "You have 2 transfers in progress, and may not have more."
SECONDS = 3


def test_page_waits_as_long_as_the_server_asks_for(site: Site, stack: Stack, tmp_path: Path) -> None:
    bucket = stack.new_bucket()
    digest = write_file(tmp_path / "file.bin", 1000)
    site.watcher.expect("status of 429")
    times: list[float] = []

    def refuse_once(route: Route) -> None:
        times.append(time.monotonic())
        if route.request.method != "POST" or len(times) > 1:
            route.continue_()
            return
        headers = {"Retry-After": str(SECONDS), "Partway-Response": "1", "Tus-Resumable": "1.0.0"}
        error = {"code": "TooManyTransfers", "message": TEXT, "request_id": ""}
        route.fulfill(status=429, headers=headers, content_type="application/json", body=json.dumps({"error": error}))

    site.page.route("**/files/", refuse_once)
    site.fill_form(bucket, prefix="in/")
    site.select_files(tmp_path / "file.bin")
    site.send()
    expect(site.file("in/file.bin")).to_contain_text(TEXT)
    site.wait_for_files("done", 1)
    assert times[1] - times[0] >= SECONDS
    assert stack.object_digest(bucket, "in/file.bin")[1] == digest
