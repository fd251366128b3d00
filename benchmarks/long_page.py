"""A page of 1,000 uploads in Chromium: when it reacts, and what the main thread does until it is idle."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.results import Figure, Results
from tests.browser.conftest import launched
from tests.browser.site import Site
from tests.browser.watching import Watcher
from tests.system.stack import Stack

UPLOADS = 1000
ROUNDS = 5
LIMITS = {"then it reacts, ms": 1000}
"""The page has to react so soon after its first byte."""

QUIET_MS = 3000
"""The page is watched until so long after its load: the facts of visible rows arrive later."""

LONG = 50_000
"""Microseconds of a task that delays what a user does, on an idle machine."""

CATEGORIES = ["devtools.timeline", "v8.execute", "blink.user_timing", "toplevel"]

KINDS = {
    "UpdateLayoutTree": "style",
    "Layout": "layout",
    "EvaluateScript": "script",
    "FunctionCall": "script",
    "v8.compile": "script",
    "v8.run": "script",
    "RunMicrotasks": "script",
    "TimerFire": "script",
    "EventDispatch": "script",
    "ParseHTML": "HTML",
    "PrePaint": "paint",
    "Paint": "paint",
    "Layerize": "paint",
    "Commit": "paint",
}
"""What the events of a trace are, by their names."""

OTHER = "other"

REACTS = """() => new Promise((resolve) => {
  const box = document.querySelector("input[name=upload]");
  const started = performance.now();
  box.click();
  requestAnimationFrame(() => setTimeout(() => { box.click(); resolve(performance.now() - started); }));
})"""
"""Tick a box, and wait for the frame that shows it."""


def run(stack: Stack, scratch: Path, results: Results) -> None:
    bucket = stack.new_bucket()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stack.client.create_multipart_upload(bucket, f"folder/key {n:04}"), range(UPLOADS)))
    path = f"/stores/{stack.store}/{bucket}/uploads/?max-uploads={UPLOADS}"
    with launched() as browser:
        state = _sign_in(browser, stack)
        rounds = [_round(browser, stack, state, path, scratch / "trace.json") for _ in range(ROUNDS + 1)][1:]
    names = list(dict.fromkeys(name for each in rounds for name in each))
    medians = {name: statistics.median(each.get(name, 0) for each in rounds) for name in names}
    results.add(
        *(
            Figure(f"page of {UPLOADS:,} uploads: {name}", value, "", LIMITS.get(name))
            for name, value in medians.items()
        )
    )


def _sign_in(browser: Browser, stack: Stack) -> Any:
    context = browser.new_context(base_url=stack.url)
    Site(context.new_page(), stack, Watcher(context)).sign_in()
    return context.storage_state()


def _round(browser: Browser, stack: Stack, state: Any, path: str, trace: Path) -> Mapping[str, float]:
    context = browser.new_context(base_url=stack.url, storage_state=state, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto("/account/")  # The connection and the static files are there, as they are for an operator.
    browser.start_tracing(page=page, path=trace, categories=CATEGORIES)
    page.goto(path, wait_until="load")
    page.wait_for_timeout(QUIET_MS)
    browser.stop_tracing()
    found = {**_reaction(page, trace), **_main_thread(trace)}
    found["next frame after a tick, ms"] = page.evaluate(REACTS)
    found["KiB of HTML"] = page.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize") / 1024
    found["elements"] = page.evaluate("document.querySelectorAll('*').length")
    assert page.locator("input[name=upload]").count() == UPLOADS
    context.close()
    return found


def _reaction(page: Page, trace: Path) -> dict[str, float]:
    """The page reacts when its scripts have run, and after the last task that needs more than 50 ms of the processor.

    Both count from the first byte, because the store and the web server share the processors with the browser here.
    """
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    first_byte = page.evaluate("performance.getEntriesByType('navigation')[0].responseStart")
    tasks = [each for each in _of_main_thread(trace) if each["name"].endswith("RunTask") and each["tdur"] > LONG]
    start = min((each["ts"] for each in _events(trace) if each["name"] == "navigationStart"), default=0)
    ends = [(each["ts"] + each["dur"] - start) / 1000 for each in tasks]
    return {
        "first byte after, ms": first_byte,
        "then scripts have run, ms": ready - first_byte,
        "then it reacts, ms": max([ready, *(end for end in ends if end < ready + QUIET_MS)]) - first_byte,
        "long tasks": len(tasks),
    }


def _main_thread(trace: Path) -> dict[str, float]:
    """Milliseconds of the processor for each kind, without what it contains of other kinds."""
    own, stack = Counter[str](), list[tuple[float, str]]()
    spent = defaultdict[str, float](float)
    for each in sorted(_of_main_thread(trace), key=lambda each: (each["ts"], -each["dur"])):
        while stack and stack[-1][0] <= each["ts"]:
            stack.pop()
        kind = KINDS.get(each["name"], stack[-1][1] if stack else OTHER)
        if stack:
            own[stack[-1][1]] -= each["tdur"]
        own[kind] += each["tdur"]
        stack.append((each["ts"] + each["dur"], kind))
    for kind, microseconds in own.items():
        spent[f"{kind}, CPU ms"] = microseconds / 1000
    spent["main thread, CPU ms"] = sum(own.values()) / 1000
    return dict(sorted(spent.items()))


def _of_main_thread(trace: Path) -> list[Mapping[str, Any]]:
    """The events with a duration of the thread of the page that has most of them: of the site's renderer."""
    events = list(_events(trace))
    mains = {(each["pid"], each["tid"]) for each in events if each.get("args", {}).get("name") == "CrRendererMain"}
    timed = [each for each in events if each.get("ph") == "X" and (each["pid"], each["tid"]) in mains]
    threads = Counter((each["pid"], each["tid"]) for each in timed if each["name"] in KINDS)
    busiest = threads.most_common(1)[0][0]
    return [{"dur": 0, "tdur": 0, **each} for each in timed if (each["pid"], each["tid"]) == busiest]


def _events(trace: Path) -> Iterable[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(trace.read_bytes())["traceEvents"]
    return found
