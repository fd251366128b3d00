"""The line between Chromium and the server: made slow, cut and mended, as Chromium's developer tools do it."""

from __future__ import annotations

from playwright.sync_api import Page

UNLIMITED = -1


class Line:
    """Of one page. A slow line lets a test see, and interrupt, what would be over at once."""

    broken = r"ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_|ERR_EMPTY_RESPONSE|ERR_NETWORK"
    """What a page complains of while it is cut, or the server is away."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._upload = UNLIMITED

    def slow_down(self, bytes_a_second: int) -> None:
        self._upload = bytes_a_second
        self._apply(offline=False)

    def cut(self) -> None:
        self._apply(offline=True)

    def mend(self, bytes_a_second: int = UNLIMITED) -> None:
        self.slow_down(bytes_a_second)

    def _apply(self, *, offline: bool) -> None:
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": self._upload}
        self._session.send("Network.emulateNetworkConditions", conditions)
