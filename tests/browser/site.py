"""The site as a person at the browser sees it: what tests do on more than one page."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

from tests.browser.watching import Watcher
from tests.system.stack import PATIENCE, Login, Stack

expect.set_options(timeout=PATIENCE * 1000)


class Site:
    """One browser window at the live stack."""

    def __init__(self, page: Page, stack: Stack, watcher: Watcher) -> None:
        self.page = page
        self.watcher = watcher
        self._stack = stack

    def sign_in(self, login: Login = Stack.admin) -> None:
        self.page.goto("/login/")
        self.page.get_by_label("Username").fill(login.username)
        self.page.get_by_label("Password").fill(login.password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Overview")).to_be_visible()

    def follow(self, link: str | Locator) -> None:
        """Follow a link, by its name or as found, and wait for the page it leads to."""
        found = self.page.get_by_role("link", name=link) if isinstance(link, str) else link
        with self.page.expect_navigation():
            found.click()

    # --- Uploads ------------------------------------------------------------------------------------------------------

    def open_listing(self, bucket: str, **query: str | int) -> None:
        """The uploads of a bucket; `max_uploads` and the like become parameters."""
        parameters = urlencode({name.replace("_", "-"): value for name, value in query.items()})
        self.page.goto(f"{self._listing(bucket)}?{parameters}")

    def open_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.page.goto(f"{self._listing(bucket)}detail/?{urlencode({'key': key, 'upload-id': upload_id})}")

    def _listing(self, bucket: str) -> str:
        return f"/stores/{self._stack.store}/{bucket}/uploads/"

    @property
    def listed_keys(self) -> list[str]:
        """The keys of the rows, top to bottom; folders are not among them."""
        return self.page.locator("table.table-uploads tr:has(input[name=upload]) th[scope=row] > a").all_inner_texts()

    @property
    def folders(self) -> list[str]:
        return self.page.locator("table.table-uploads a.folder").all_inner_texts()

    def row(self, key: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name=key, exact=True))

    def wait_for_operation(self, state: str = "done") -> None:
        """Follow the operation on its page until it has ended so."""
        self.page.wait_for_url("**/operations/*/")
        expect(self.page.locator("#operation .state").first).to_have_text(state)

    # --- Transfers ----------------------------------------------------------------------------------------------------

    def choose_file(self, bucket: str, path: Path, key: str = "", **fields: str) -> None:
        """Fill in the form of a new transfer; `part_size` and the like are fields by name."""
        self.page.goto("/transfers/new/")
        for name, value in {"bucket": bucket, "key": key, **fields}.items():
            self.page.locator(f"[name={name.replace('_', '-')}]").fill(value)
        self.page.get_by_label("The file to send").set_input_files(path)

    def send(self) -> None:
        self.page.get_by_role("button", name="Send", exact=True).click()

    def wait_for_transfer(self, *states: str) -> str:
        """Wait until the page of a transfer is there and shows one of these states; the transfer's id."""
        self.page.wait_for_url("**/transfers/*-*/")
        selector = ", ".join(f"#transfer-state .state:text-is('{state}')" for state in states)
        expect(self.page.locator(selector)).to_be_visible()
        return self.page.url.rstrip("/").rsplit("/", maxsplit=1)[-1]
