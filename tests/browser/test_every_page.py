"""Every page: keyboard, narrow screens, light and dark, and no console errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import axe, people_rows
from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import broken_words, overflow, widest
from tests.system.stack import Stack

MOST_TABS = 60
WIDTHS = (390, 768, 1440)
LONG_AGES = """() => {
  for (const each of document.querySelectorAll("time[title], .age")) each.textContent = "55 minutes ago";
}"""
LONG_KEY = "a-long-folder-name/" * 6 + "and-a-file-name-that-no-line-can-break-" * 4


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket with an upload, and the address of one operation and one transfer."""

    bucket: str
    upload_id: str
    operation: str
    transfer: str
    people: list[str]
    sweeps: list[str]

    def pages(self, store: str) -> list[str]:
        uploads = f"/stores/{store}/{self.bucket}/uploads/"
        named = f"?key={LONG_KEY}&upload-id={self.upload_id}"
        return [
            "/",
            "/stores/",
            "/stores/new/",
            f"/stores/{store}/",
            f"/stores/{store}/edit/",
            f"/stores/{store}/check/",
            f"/stores/{store}/inventory/",
            f"/stores/{store}/{self.bucket}/lifecycle/",
            "/lifecycle/",
            "/inventory/",
            "/inventory/?group=age",
            "/inventory/trend/",
            "/inventory/scans/",
            f"/stores/{store}/prices/",
            "/alerts/",
            "/alerts/new/",
            "/sweeps/",
            "/sweeps/new/",
            "/sweeps/repeating/",
            *self.sweeps,
            uploads,
            f"{uploads}?delimiter=/",
            f"{uploads}?prefix=none",
            f"{uploads}?key-marker=a",
            f"{uploads}compare/{named}",
            f"{uploads}detail/{named}",
            f"{uploads}abort/{named}",
            f"{uploads}complete/{named}",
            self.operation,
            "/operations/",
            "/checks/",
            "/transfers/",
            "/transfers/new/",
            self.transfer,
            "/audit/",
            "/audit/?means=page",
            "/search/",
            f"/search/?q={self.operation}{self.transfer}",
            f"/search/?q={LONG_KEY}nowhere",
            "/account/",
            "/guide/",
            "/account/password/",
            "/account/second-factor/",
            *self.people,
        ]


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Place:
    bucket = stack.new_bucket()
    folder = tmp_path_factory.mktemp("place")
    upload_id = stack.create_upload(bucket, LONG_KEY, {1: 2000, 2: 2000, 7: 10}, folder / "part")
    with stack.signed_in() as operator:
        doomed = {"key": "doomed", "upload-id": stack.client.create_multipart_upload(bucket, "doomed")}
        aborted = operator.post(f"/stores/{stack.store}/{bucket}/uploads/abort/", doomed).json()
        sent = operator.send_file(stack.store, bucket, LONG_KEY, b"some bytes")
        operator.wait_for_state(sent, "done")
    create = f"from tests.browser.sweep_rows import create\nprint(*create({stack.store!r}, {bucket!r}, {LONG_KEY!r}))"
    sweeps = stack.run_python(create).split()
    return Place(bucket, upload_id, aborted["url"], f"/transfers/{sent}/", people_rows.pages(stack), sweeps)


def open_whole(page: Page, path: str) -> None:
    """Open a page, with the fragments that it requests at once. Some pages then poll for ever."""
    page.goto(path)
    page.wait_for_function("() => !document.querySelector('.htmx-request')")


def test_pages_fit_every_width_and_have_a_heading_a_title_and_named_controls(
    site: Site, stack: Stack, place: Place
) -> None:
    page = site.page
    for path in place.pages(stack.store):
        open_whole(page, path)
        page.evaluate(LONG_AGES)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 844})
            assert overflow(page) == 0, (path, width, widest(page))
            assert broken_words(page) == [], (path, width)
        assert page.locator("h1").count() == 1, path
        assert page.title().endswith("Partway"), path
        assert _unnamed_controls(page) == [], path


def test_login_fits_a_phone(open_site: OpenSite) -> None:
    site = open_site(viewport={"width": 390, "height": 844}, storage_state=None)
    site.page.goto("/login/")
    assert overflow(site.page) == 0


def _unnamed_controls(page: Page) -> list[str]:
    """Links, buttons and fields without a name for screen readers."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")]
            .filter((each) => each.checkVisibility())
            .filter((each) => !(each.innerText || "").trim() && !each.getAttribute("aria-label")
                              && !(each.labels && each.labels.length))
            .map((each) => each.outerHTML.slice(0, 120))"""
    )
    return found


def test_no_page_violates_a_rule_of_axe(open_site: OpenSite, stack: Stack, place: Place) -> None:
    """All rules with an automatic verdict, in both themes, on a phone and on a desktop."""
    page = open_site().page
    found = []
    for path in place.pages(stack.store):
        open_whole(page, path)
        found += [f"{path}: {each}" for each in axe.violations(page)]
    assert not found, "\n".join(found)


def test_no_page_of_a_failing_store_violates_a_rule_of_axe(open_site: OpenSite, failing: list[str]) -> None:
    """Of stores that are unreachable, do not answer and refuse the credentials, and of work that failed."""
    site, found = open_site(), []
    site.watcher.expect("status of 5|status of 403")
    for path in failing:
        site.goto(path)
        site.page.wait_for_function("() => !document.querySelector('.htmx-request')")
        found += [f"{path}: {each}" for each in axe.violations(site.page)]
    assert not found, "\n".join(found)


@pytest.fixture
def failing(stack: Stack, place: Place) -> list[str]:
    """Pages that say what failed."""
    create = f"from tests.browser.failing_rows import create\nprint(*create({stack.store!r}, {place.bucket!r}))"
    work = stack.run_python(create).split()
    options = ["--endpoint-url", stack.server.endpoint_url, "--region", stack.server.region, "--provider", "swift"]
    stack.manage("add_store", "refuses", *options, "--access-key", stack.server.access_key, STORE_SECRET_KEY="wrong")
    named = f"?key=a&upload-id={place.upload_id}"
    places = [f"/stores/{name}/{place.bucket}/uploads/" for name in ("frozen", "refuses")]
    pages = [f"{uploads}{page}" for uploads in places for page in ("", f"complete/{named}", f"abort/{named}")]
    return ["/", "/stores/", "/stores/gone/", "/stores/refuses/", *pages, "/operations/", work[0], work[-1]]


def test_the_navigation_is_not_cut(site: Site) -> None:
    site.goto("/stores/")
    for width in (320, 390, *WIDTHS):
        site.page.set_viewport_size({"width": width, "height": 844})
        for link in site.page.locator(".top-nav a").all():
            expect(link).to_be_in_viewport(ratio=1)


def test_selected_theme_is_kept(open_site: OpenSite) -> None:
    site = open_site(color_scheme="light")
    page, root = site.page, site.page.locator("html")
    page.goto("/")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_label("Switch between light and dark").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.goto("/transfers/")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    assert _brightness(page) < 60
    page.get_by_label("Switch between light and dark").click()
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "light")
    assert _brightness(page) > 200


def test_theme_follows_the_system_until_one_is_selected(open_site: OpenSite) -> None:
    site = open_site(color_scheme="dark")
    site.page.goto("/")
    expect(site.page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def _brightness(page: Page) -> float:
    """The brightness of the page's background, from 0 to 255."""
    found: float = page.evaluate(
        """() => {
          const pencil = document.createElement("canvas").getContext("2d");
          pencil.fillStyle = getComputedStyle(document.body).backgroundColor;
          pencil.fillRect(0, 0, 1, 1);
          return Math.max(...pencil.getImageData(0, 0, 1, 1).data.slice(0, 3));
        }"""
    )
    return found


class Keyboard:
    """Uses the page by keyboard only."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def tab_to(self, target: Locator) -> None:
        """Press Tab until the target has the focus. Every element on the way must show its focus."""
        for _ in range(MOST_TABS):
            self._page.keyboard.press("Tab")
            assert self._focus_is_visible(), self._page.evaluate("document.activeElement.outerHTML")
            if target.evaluate("(element) => element === document.activeElement"):
                return
        raise AssertionError(f"{target} cannot be reached with Tab")

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def follow(self) -> None:
        """Press Enter and wait for the next page."""
        with self._page.expect_navigation():
            self.press("Enter")

    def _focus_is_visible(self) -> bool:
        """Whether the element looks different while it has the focus."""
        seen: bool = self._page.evaluate(
            """async () => {
              const element = document.activeElement;
              if (element === document.body) return true;
              const settled = () => Promise.all(element.getAnimations().map((each) => each.finished));
              const look = () => {
                const style = getComputedStyle(element);
                const outline = style.outlineStyle === "none" ? "" : `${style.outlineWidth} ${style.outlineColor}`;
                return `${outline} ${style.boxShadow} ${style.borderColor} ${style.transform}`;
              };
              await settled();
              const focused = look();
              element.blur();
              await settled();
              const blurred = look();
              element.focus({ focusVisible: true, preventScroll: true });
              return focused !== blurred;
            }"""
        )
        return seen


def test_first_tab_stop_skips_the_header(page: Page) -> None:
    page.goto("/stores/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_upload_is_aborted_by_keyboard(site: Site, stack: Stack) -> None:
    bucket = stack.new_bucket()
    stack.client.create_multipart_upload(bucket, "dir/by-keyboard")
    page, keyboard = site.page, Keyboard(site.page)
    site.open_listing(bucket)
    for name in ("Folders", "dir/", "by-keyboard", "Abort…"):
        keyboard.tab_to(page.get_by_role("link", name=name))
        keyboard.follow()
    keyboard.tab_to(page.get_by_role("button", name="Abort the upload"))
    keyboard.press("Enter")
    site.wait_for_operation()
    assert stack.uploads_in(bucket) == []


def test_selection_is_aborted_by_keyboard(site: Site, stack: Stack) -> None:
    bucket = stack.new_bucket()
    for key in ("a", "b"):
        stack.client.create_multipart_upload(bucket, key)
    page, keyboard = site.page, Keyboard(site.page)
    site.open_listing(bucket)
    keyboard.tab_to(page.get_by_label("Select all on this page"))
    keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Abort selected")).to_be_focused()
    keyboard.follow()
    keyboard.tab_to(page.get_by_role("button", name="Abort 2 uploads"))
    keyboard.press("Enter")
    site.wait_for_operation()
    assert stack.uploads_in(bucket) == []


def test_upload_is_completed_by_keyboard(site: Site, stack: Stack, tmp_path: Path) -> None:
    bucket = stack.new_bucket()
    upload_id = stack.create_upload(bucket, "gap", {2: 10}, tmp_path / "part")
    page, keyboard = site.page, Keyboard(site.page)
    site.open_upload(bucket, "gap", upload_id)
    keyboard.tab_to(page.get_by_role("link", name="Complete…"))
    keyboard.follow()
    keyboard.tab_to(page.get_by_label("build the object from the parts present"))
    keyboard.press("Space")
    keyboard.tab_to(page.get_by_role("button", name="Complete the upload"))
    keyboard.press("Enter")
    site.wait_for_operation()
    assert stack.object_digest(bucket, "gap")[0] == 10


@pytest.mark.usefixtures("nothing_unfinished")
def test_file_is_sent_by_keyboard(site: Site, stack: Stack, tmp_path: Path) -> None:
    bucket = stack.new_bucket()
    (tmp_path / "typed").write_bytes(b"bytes")
    page, keyboard = site.page, Keyboard(site.page)
    page.goto("/")
    keyboard.tab_to(page.get_by_role("link", name="New transfer"))
    keyboard.follow()
    keyboard.tab_to(page.get_by_role("button", name="Select files"))
    site.select_files(tmp_path / "typed")
    keyboard.tab_to(page.locator("#id_bucket"))
    page.keyboard.type(bucket)
    keyboard.tab_to(page.get_by_role("button", name="Send", exact=True))
    keyboard.press("Enter")
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, "typed")[0] == 5
