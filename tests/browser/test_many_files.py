"""Five thousand files on the page of a new transfer: what grows with their number, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.system.stack import PATIENCE, wait_for

COUNT = 5000
PAGE = 100

COUNT_WORK = """
window.work = { reads: 0, readsBeforeTheFirst: -1, rows: 0, copied: 0 };
const read = Blob.prototype.arrayBuffer;
Blob.prototype.arrayBuffer = function () { work.reads += 1; return read.call(this); };
const open = XMLHttpRequest.prototype.open;
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  if (method === "POST" && work.readsBeforeTheFirst < 0) work.readsBeforeTheFirst = work.reads;
  return open.call(this, method, url, ...rest);
};
const clone = Node.prototype.cloneNode;
Node.prototype.cloneNode = function (deep) {
  if (this.classList?.contains("file")) work.rows += 1;
  return clone.call(this, deep);
};
"""
"""Counts what the page does: files read, rows made, and files that were read when the first was sent."""


COUNT_FILES_IN_UPPY = """() => {
  const { setState } = Uppy.Uppy.prototype;
  Uppy.Uppy.prototype.setState = function (patch) {
    setState.call(this, patch);
    work.copied = Math.max(work.copied, Object.keys(this.getState().files).length);
  };
}"""
"""Uppy copies all its files with each change of one of them."""


class Requests:
    """The requests of a page to the server, by their kind."""

    def __init__(self, page: Page) -> None:
        self.known: list[int] = []
        self.created = 0
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.url.endswith("/known/"):
            self.known.append(len((request.post_data_json or {"files": []})["files"]))
        self.created += request.method == "POST" and request.url.endswith("/files/")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "many"
    for number in range(COUNT):
        path = folder / f"{number // 500}" / f"file-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is file {number}.")
    return folder


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    site = open_site()
    site.page.add_init_script(COUNT_WORK)
    return site


def test_files_that_go_alone_enter_uppy_a_few_at_a_time(site: Site, bucket: str, tmp_path: Path) -> None:
    """Uppy goes through all its files on each event."""
    for number in range(40):
        (tmp_path / f"file-{number}").write_text(f"This is file {number}.")
    site.fill_form(bucket)
    site.page.evaluate(COUNT_FILES_IN_UPPY)
    site.select_files(*tmp_path.iterdir())
    site.page.get_by_label("Compute it in the browser while sending").check()
    site.send()
    site.wait_for_files("done", 40)
    assert 0 < site.page.evaluate("work")["copied"] <= 10


def test_sending_starts_while_the_rest_is_examined(site: Site, bucket: str, folder: Path) -> None:
    site.watcher.expect("status of 409")  # Some have ended when they are to be paused.
    requests = Requests(site.page)
    site.fill_form(bucket, prefix="in/")
    site.page.evaluate(COUNT_FILES_IN_UPPY)
    site.select_folder(folder)
    expect(site.page.locator("#files-count")).to_contain_text("5,000 files")
    expect(site.files).to_have_count(PAGE)
    site.send()
    expect(site.page.locator(".file[data-state=done]")).not_to_have_count(0)
    work = site.page.evaluate("work")
    # However slow the server is: those that wait for it, and those that it was asked for first.
    assert 0 < work["readsBeforeTheFirst"] < 1000
    assert work["copied"] <= 10  # Files that go together are not in Uppy.
    # Wait until all have been examined, but not until all have been sent.
    expect(site.page.locator("#overall-counts")).to_contain_text("in progress")

    def are_all_looked_up() -> bool:
        site.page.wait_for_timeout(100)
        return sum(requests.known) >= COUNT

    wait_for("the lookups of all files", are_all_looked_up, seconds=5 * PATIENCE)
    assert sum(requests.known) == COUNT
    assert len(requests.known) <= COUNT // PAGE + 40
    assert requests.created < COUNT
    site.page.get_by_role("button", name="Pause all").click()
    # A row is made once for each file of the page that is shown, however often files change.
    assert site.page.evaluate("work.rows") <= PAGE + 1
    assert site.page.locator("#files *").count() < 6000
    site.page.goto("about:blank")


def test_list_shows_what_needs_attention(site: Site, bucket: str, folder: Path) -> None:
    taken = "in/many/9/file-4999"
    site.fill_form(bucket, prefix="in/many/")
    site.select_folder(folder / "9")
    shown = site.page.locator("#files-pager [data-part=range]")
    site.page.get_by_role("button", name="Next").click()
    expect(shown).to_have_text("101–200 of 500")
    assert site.file_keys[0] == "in/many/9/file-4600"
    # The focus stays at the place of a row that leaves the list.
    site.step("in/many/9/file-4600", "remove")
    expect(shown).to_have_text("101–200 of 499")
    expect(site.file("in/many/9/file-4601").locator("[data-step=edit]")).to_be_focused()
    for _ in range(3):
        site.page.get_by_role("button", name="Next").click()
    expect(shown).to_have_text("401–499 of 499")
    site.page.get_by_label("Files to show").select_option(label="Need attention")
    expect(shown).to_have_text("No such file")
    # Two rows with the same key, of which the second needs another one.
    site.page.get_by_label("Files to show").select_option(label="All files")
    site.step("in/many/9/file-4500", "edit")
    site.page.keyboard.press("ControlOrMeta+A")
    site.page.keyboard.type(taken)
    site.page.keyboard.press("Enter")
    site.page.get_by_role("button", name="Show what needs attention").click()
    expect(shown).to_have_text("1–1 of 1")
    assert site.file_keys == [taken]
