"""Watches browser pages: a console error or a failed request fails the test."""

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
    """Collects the console errors, warnings and failed requests of one browser context."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self._expected: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        context.on("requestfailed", self._request_failed)

    def expect(self, pattern: str) -> None:
        """Accept complaints that match this pattern."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail on every complaint that was not expected."""
        left = [each for each in self.complaints if not any(re.search(pattern, each) for pattern in self._expected)]
        assert not left, left

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in COMPLAINTS:
            self.complaints.append(f"{message.type}: {message.text} at {message.location.get('url', '')}")

    def _request_failed(self, request: Request) -> None:
        # The browser aborts requests of a page that is left.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.method} {request.url}: {request.failure}")


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window, so that it scrolls horizontally."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


def clipped_tables(page: Page) -> list[str]:
    """The captions of tables that are higher than what is shown of them."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".table-responsive")]
            .filter((each) => each.clientHeight + 1 < (each.querySelector("table")?.offsetHeight ?? 0))
            .map((each) => each.querySelector("caption")?.textContent.trim() ?? each.className)"""
    )
    return found


def widest(page: Page) -> list[str]:
    """The elements that are wider than the window, for a failure's message."""
    found: list[str] = page.evaluate(
        """() => [...document.body.querySelectorAll("*")]
            .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .slice(0, 8).map((each) => `${each.tagName}.${each.className}`)"""
    )
    return found


def broken_words(page: Page) -> list[str]:
    """The words of tables that are broken in the middle, apart from keys, ids and what else is long without a space."""
    found: list[str] = page.evaluate(
        """() => {
          const lines = (text, start, end) => {
            const range = document.createRange();
            range.setStart(text, start);
            range.setEnd(text, end);
            return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size;
          };
          const broken = [];
          for (const cell of document.querySelectorAll("td, th")) {
            if (!cell.checkVisibility()) continue;
            const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
            for (let text = texts.nextNode(); text; text = texts.nextNode()) {
              if (text.parentElement.closest(".key, .mono, .visually-hidden")) continue;
              for (const { 0: run, index } of text.data.matchAll(/\\S+/g)) {
                if (run.length > 30) continue;
                // A line may end after a hyphen or a slash.
                for (const word of run.matchAll(/[^-/]+/g)) {
                  const start = index + word.index;
                  if (lines(text, start, start + word[0].length) > 1) broken.push(`${word[0]} in ${run}`);
                }
              }
            }
          }
          return broken;
        }"""
    )
    return found
