"""A browser page that is watched: whatever a page complains of fails the test that saw it."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

# Runs in every document before its own scripts. The CSP does not apply to it.
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI} in ${event.sourceFile}`));
"""

COMPLAINTS = {"error", "warning"}


class Watcher:
    """Collects what the pages of one browser context complain of."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self._expected: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        context.on("requestfailed", self._request_failed)

    def expect(self, pattern: str) -> None:
        """This complaint is what the test is about."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail on everything that was not expected."""
        left = [each for each in self.complaints if not any(re.search(pattern, each) for pattern in self._expected)]
        assert not left, left

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in COMPLAINTS:
            self.complaints.append(f"{message.type}: {message.text} at {message.location.get('url', '')}")

    def _request_failed(self, request: Request) -> None:
        # What a page still asks for when it is left is aborted by the browser.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.method} {request.url}: {request.failure}")


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window: it could be scrolled sideways."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


def widest(page: Page) -> list[str]:
    """The elements that reach out of the window, for the message of a failure."""
    found: list[str] = page.evaluate(
        """() => [...document.body.querySelectorAll("*")]
            .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .slice(0, 8).map((each) => `${each.tagName}.${each.className}`)"""
    )
    return found
