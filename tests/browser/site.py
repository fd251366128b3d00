"""What tests do in the browser on more than one page."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

from tests.browser.watching import Watcher
from tests.system.stack import PATIENCE, Login, Stack, wait_for

SEND = re.compile(r"^Send( [\d,]+ files)?$")
NOT_SENDING = "".join(f":not([data-state={state}])" for state in ("preparing", "queued", "sending", "interrupted"))
"""Rows whose bytes this page does not send: leaving the page needs no confirmation."""

expect.set_options(timeout=PATIENCE * 1000)


class Site:
    """One browser window at the live stack."""

    def __init__(self, page: Page, stack: Stack, watcher: Watcher, path: str = "") -> None:
        self.page = page
        self.path = path
        """Where the site is on its host: SUB_PATH."""
        self.watcher = watcher
        self.store = stack.store
        """The name of the store to use."""

    def sign_in(self, login: Login = Stack.admin) -> None:
        self.goto("/login/")
        self.fill_login(login)

    def fill_login(self, login: Login = Stack.admin) -> None:
        """Fill in the form on the page and send it."""
        self.page.get_by_label("Username").fill(login.username)
        self.page.get_by_label("Password").fill(login.password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Sign in")).to_be_hidden()

    def goto(self, path: str) -> None:
        """Open a page, by its path below the site's own."""
        self.page.goto(self.path + path)

    def follow(self, link: str | Locator) -> None:
        """Follow a link, given by its name or as a locator, and wait for its page."""
        target = self.page.get_by_role("link", name=link) if isinstance(link, str) else link
        with self.page.expect_navigation():
            target.click()

    def submit(self, button: str | Locator) -> None:
        """Press a button that leads to another page, and wait for that page.

        A bare click() returns before the page is there: what is read next would be that of the page before.
        """
        self.follow(self.page.get_by_role("button", name=button, exact=True) if isinstance(button, str) else button)

    # --- Uploads ------------------------------------------------------------------------------------------------------

    def open_listing(self, bucket: str, **query: str | int) -> None:
        """The uploads of a bucket; `max_uploads` and the like become parameters."""
        parameters = urlencode({name.replace("_", "-"): value for name, value in query.items()})
        self.goto(f"{self._listing(bucket)}?{parameters}")

    def open_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.goto(f"{self._listing(bucket)}detail/?{urlencode({'key': key, 'upload-id': upload_id})}")

    def _listing(self, bucket: str) -> str:
        return f"/stores/{self.store}/{bucket}/uploads/"

    @property
    def listed_keys(self) -> list[str]:
        """The keys of the rows, top to bottom, without folders."""
        return self.page.locator(
            "table.table-uploads tr:has(input[name=upload]) th[scope=row] > a:not([class])"
        ).all_text_contents()

    @property
    def folders(self) -> list[str]:
        return self.page.locator("table.table-uploads a.folder").all_inner_texts()

    def row(self, key: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name=key, exact=True))

    def wait_for_operation(self, state: str = "done") -> None:
        """Wait until the operation's page shows this state."""
        self.page.wait_for_url(re.compile(r"/operations/[^/]+/(\?|$)"))
        expect(self.page.locator("#operation .state").first).to_have_text(state)

    # --- Transfers ----------------------------------------------------------------------------------------------------

    def fill_form(self, bucket: str, **fields: str) -> None:
        """Open the form of a new transfer and fill it in; `part_size` and the like are fields by name."""
        self.goto("/transfers/new/")
        self.page.locator("[name=store]").select_option(label=self.store)
        self.open_options()
        for name, value in {"bucket": bucket, **fields}.items():
            self.page.locator(f"[name={name.replace('_', '-')}]").fill(value)

    def open_options(self) -> None:
        """Unfold what has a default: the key, the part size and the like."""
        options = self.page.locator("#options")
        if options.get_attribute("open") is None:
            options.locator("summary").click()

    def select_files(self, *paths: Path) -> None:
        self.page.locator("#id_file").set_input_files(paths)

    def select_folder(self, path: Path) -> None:
        self.page.locator("#folder-input").set_input_files(path)

    def select_file(self, bucket: str, path: Path, key: str = "", **fields: str) -> None:
        """Fill in the form and select one file."""
        self.fill_form(bucket, key=key, **fields)
        self.select_files(path)

    def send(self) -> None:
        self.page.get_by_role("button", name=SEND).click()

    def wait_for_transfer(self, *states: str) -> str:
        """Wait until the page of a transfer shows one of these states; the transfer's id.

        On the form, first wait until this browser has sent the file, then open the page of its transfer.
        """
        if "/transfers/new/" in self.page.url:
            link = self.page.locator(f".file{NOT_SENDING} [data-part=key][href]")
            expect(link).to_be_visible()
            self.page.goto(link.get_attribute("href") or "")
        self.page.wait_for_url("**/transfers/*-*/")
        selector = ", ".join(f"#transfer-state .state:text-is('{state}')" for state in states)
        expect(self.page.locator(selector)).to_be_visible()
        return self.page.url.rstrip("/").rsplit("/", maxsplit=1)[-1]

    # --- The list of selected files -----------------------------------------------------------------------------------

    @property
    def files(self) -> Locator:
        return self.page.locator(".file")

    @property
    def file_keys(self) -> list[str]:
        """Top to bottom."""
        return self.page.locator(".file [data-part=key]").all_text_contents()

    def file(self, key: str) -> Locator:
        """The row of a file, by its key."""
        return self.files.filter(has=self.page.locator("[data-part=key]", has_text=re.compile(f"^{re.escape(key)}$")))

    def wait_for_file(self, key: str, state: str) -> Locator:
        """Wait until a row has a state of static/new-transfer/states.js; the row."""
        row = self.file(key)
        expect(row).to_have_attribute("data-state", state)
        return row

    def wait_for_files(self, state: str, count: int) -> None:
        """Wait until the list has this many rows, all of them in this state."""
        expect(self.page.locator(f".file[data-state={state}]")).to_have_count(count)
        expect(self.files).to_have_count(count)

    def step(self, key: str, step: str) -> None:
        """Click a button of a row: pause, resume, cancel and so on."""
        self.file(key).locator(f"[data-step={step}]").click()

    def confirm_cancel(self) -> None:
        self.page.get_by_role("dialog").get_by_role("button", name="Yes, cancel").click()

    def received(self, key: str) -> int:
        """The percentage received, as the row shows it."""
        # The inner text of a row out of view is empty.
        shown = self.file(key).locator("[data-part=received-percent]").text_content() or ""
        return int(shown.removesuffix("%").strip())

    def wait_until_received(self, key: str, percent: int) -> None:
        """Wait until Partway has received at least this percentage of a file."""

        def is_received() -> bool:
            self.page.wait_for_timeout(50)  # Playwright delivers the page's events during the wait.
            return self.received(key) >= percent

        wait_for(f"{percent}% of {key}", is_received)
