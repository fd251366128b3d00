"""Chromium's accessibility tree, which screen readers read, on the pages of the main job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.system.stack import Stack

KEY = "reports/with a gap.csv"
CONTROLS = {
    "button",
    "checkbox",
    "combobox",
    "DisclosureTriangle",
    "image",
    "link",
    "progressbar",
    "radio",
    "searchbox",
    "spinbutton",
    "table",
    "textbox",
}
"""Roles of what needs a name."""


@dataclass(frozen=True, slots=True)
class Node:
    role: str
    name: str
    level: int
    is_in_main: bool


def tree_of(page: Page) -> list[Node]:
    """What a screen reader is told of the page."""
    session = page.context.new_cdp_session(page)
    nodes = {each["nodeId"]: each for each in session.send("Accessibility.getFullAXTree")["nodes"]}
    session.detach()
    return [
        Node(_value(each, "role"), _value(each, "name"), _level(each), _is_in_main(nodes, each))
        for each in nodes.values()
        if not each["ignored"]
    ]


def _value(node: dict[str, Any], field: str) -> str:
    return str(node.get(field, {}).get("value", "")).strip()


def _level(node: dict[str, Any]) -> int:
    return next((each["value"]["value"] for each in node.get("properties", []) if each["name"] == "level"), 0)


def _is_in_main(nodes: dict[str, Any], node: dict[str, Any]) -> bool:
    return any(_value(each, "role") == "main" for each in _ancestors(nodes, node))


def _ancestors(nodes: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while (parent := nodes.get(node.get("parentId", ""))) is not None:
        yield parent
        node = parent


def check(page: Page, heading: str, *expected: tuple[str, str]) -> None:
    """The page has one of each landmark, its heading, named controls, and what is expected by role and name."""
    tree = tree_of(page)
    roles = Counter(each.role for each in tree)
    assert {role: roles[role] for role in ("banner", "main", "contentinfo")} == dict.fromkeys(
        ("banner", "main", "contentinfo"), 1
    )
    assert [(each.name, each.is_in_main) for each in tree if each.role == "heading" and each.level == 1] == [
        (heading, True)
    ]
    assert [each for each in tree if each.role in CONTROLS and not each.name] == []
    assert roles["status"] >= 1
    assert set(expected) <= {(each.role, each.name) for each in tree}


@pytest.fixture
def bucket(stack: Stack, tmp_path: Path) -> str:
    """A bucket with an upload that has a gap."""
    bucket = stack.new_bucket()
    stack.create_upload(bucket, KEY, {2: 10}, tmp_path / "part")
    return bucket


def test_an_upload_is_completed_by_what_a_screen_reader_is_told(site: Site, bucket: str) -> None:
    page = site.page
    site.open_listing(bucket)
    page.wait_for_load_state("networkidle")
    listing = f"Uploads in progress in {bucket}"
    check(page, "Uploads in progress", ("table", listing), ("checkbox", f"Select {KEY}"), ("link", KEY))
    site.follow(KEY)
    check(page, KEY, ("table", "Parts of this upload"), ("link", "Complete…"), ("link", "Abort…"))
    site.follow("Complete…")
    box = "I know that part numbers are missing (1); build the object from the parts present"
    check(page, "Complete this upload?", ("checkbox", box), ("button", "Complete the upload"))
    page.get_by_label(box).check()
    site.submit("Complete the upload")
    site.wait_for_operation()
    check(page, "Completion of an upload", ("progressbar", "Finished uploads of this operation"))


@pytest.mark.usefixtures("nothing_unfinished")
def test_a_file_is_sent_by_what_a_screen_reader_is_told(site: Site, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "heard").write_bytes(b"bytes")
    page = site.page
    site.goto("/transfers/new/")
    check(
        page,
        "New transfer",
        ("button", "Select files"),
        ("combobox", "Bucket"),
        ("checkbox", "Replace an object with the same key"),
    )
    site.select_file(bucket, tmp_path / "heard")
    check(page, "New transfer", ("button", "Send"))
    site.send()
    site.wait_for_transfer("done")
    expect(page.locator("#transfer-live")).to_be_visible()
    check(page, "heard", ("progressbar", "Received from the browser"), ("progressbar", "Sent to the store"))
