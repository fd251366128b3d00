"""The line between Chromium and the server, made slow, as Chromium's developer tools do it."""

from __future__ import annotations

from playwright.sync_api import Page

UNLIMITED = -1


class Line:
    """Of one page. A slow line lets a test see, and interrupt, what would be over at once."""

    broken = r"ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_|ERR_EMPTY_RESPONSE|ERR_NETWORK|status of (408|409|423)"
    """What a page complains of while the line is broken or the server away; and once it is back, while the server is
    still busy with what came before."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def slow_down(self, bytes_a_second: int) -> None:
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
        self._session.send("Network.emulateNetworkConditions", conditions)

    def mend(self) -> None:
        self.slow_down(UNLIMITED)
