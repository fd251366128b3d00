"""Slows down the connection between Chromium and the server, as Chromium's developer tools do."""

from __future__ import annotations

from playwright.sync_api import Page

UNLIMITED = -1


class Line:
    """The connection of one page. On a slow one, tests can observe and interrupt a short upload."""

    broken = (
        r"ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_|ERR_SOCKET_NOT_CONNECTED|ERR_EMPTY_RESPONSE|ERR_NETWORK"
        r"|status of (408|409|423)"
    )
    """Complaints of a page while the connection or the server is down, and afterwards while the server still handles
    earlier requests."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def slow_down(self, bytes_per_second: int) -> None:
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
        self._session.send("Network.emulateNetworkConditions", conditions)

    def restore(self) -> None:
        self.slow_down(UNLIMITED)
