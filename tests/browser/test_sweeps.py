"""A sweep in the browser: a plan, its approval by a second user, the run and the proof."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import clipped_tables, overflow
from tests.system.stack import Stack, wait_for

PICTURES = os.environ.get("SWEEP_PICTURES", "")
"""A folder for pictures of the pages, for somebody who looks at them."""

THRESHOLDS = """
from uploads.models import InventorySettings, Store
store = Store.objects.get(name={store!r})
InventorySettings.objects.filter(store=store).delete()
if {at_once}:
    InventorySettings.objects.create(store=store, alive_hours=0, dead_days=0, requests_per_second=500)
"""
DEAD = """
SELECT count(*) FROM uploads_inventoryupload u JOIN uploads_inventorybucket b ON b.id = u.bucket_id
WHERE b.name = ? AND u.verdict = 'dead'
"""


@pytest.fixture
def bucket(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """A bucket with three uploads that are dead as soon as nothing arrives any more, as its store is set."""
    name = stack.new_bucket()
    for number in range(3):
        stack.create_upload(name, f"left/{number}.bin", {2: 100_000 * (number + 1)}, tmp_path / "scratch")
    stack.run_python(THRESHOLDS.format(store=stack.store, at_once=True))
    with stack.signed_in() as operator:
        operator.post("/inventory/scans/", {"store": stack.store, "bucket": name})
    wait_for("the scan", lambda: stack.query(DEAD, name)[0][0] == 3)
    yield name
    stack.run_python(THRESHOLDS.format(store=stack.store, at_once=False))


def picture(site: Site, name: str) -> None:
    if PICTURES:
        site.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def test_a_plan_is_approved_by_a_second_user_run_and_proved(
    site: Site, open_site: OpenSite, stack: Stack, bucket: str, tmp_path: Path
) -> None:
    page = site.page
    site.goto(f"/inventory/?bucket={bucket}&verdict=dead")
    site.follow(page.get_by_role("link", name="Plan a sweep of this filter"))
    with page.expect_navigation():
        page.get_by_role("button", name="Make the plan").click()
    expect(page.locator("#sweep-state")).to_have_text("waiting for approval", timeout=20_000)
    expect(page.locator(".sweep-numbers")).to_contain_text("586 KiB")
    picture(site, "plan")
    assert len(stack.uploads_in(bucket)) == 3

    second = open_site(storage_state=None)
    second.sign_in(stack.other_login)
    second.goto(page.url.removeprefix(stack.url))
    with second.page.expect_navigation():
        second.page.get_by_role("button", name="Approve this plan").click()
    expect(second.page.locator("#sweep-state")).to_have_text("approved")
    # A part that arrives now spares its upload, whatever was approved.
    spared = dict(stack.uploads_in(bucket))["left/1.bin"]
    stack.s3.upload_part(Bucket=bucket, Key="left/1.bin", UploadId=spared, PartNumber=3, Body=b"x" * 10)
    picture(second, "approved")
    with second.page.expect_navigation():
        second.page.get_by_role("button", name="Run: abort these uploads").click()
    expect(second.page.locator("#sweep-state")).to_have_text("done", timeout=30_000)
    site.goto(page.url.removeprefix(stack.url))
    expect(page.locator("[aria-labelledby=proof]")).to_contain_text("A part has arrived since the plan was made.")
    expect(page.locator("[aria-labelledby=proof]")).to_contain_text("gone")
    expect(page.locator(".sweep-steps")).to_contain_text("391 KiB freed")
    picture(site, "proof")
    assert stack.uploads_in(bucket) == [("left/1.bin", spared)]
    page.set_viewport_size({"width": 390, "height": 844})
    assert not overflow(page)


def test_a_rule_without_a_verdict_is_explained(site: Site) -> None:
    page = site.page
    site.goto("/sweeps/new/?older-than=30d")
    site.watcher.expect("status of 400")
    with page.expect_navigation():
        page.get_by_role("button", name="Make the plan").click()
    expect(page.locator(".alert-danger")).to_contain_text("Age alone says nothing")
    expect(page.locator("[name=older-than]")).to_have_value("30d")


def test_a_repeating_rule_is_changed_by_keyboard_and_on_a_phone(site: Site, stack: Stack) -> None:
    page, bucket = site.page, stack.new_bucket()
    site.goto(f"/sweeps/new/?verdict=dead&bucket={bucket}")
    page.get_by_text("Repeat this sweep").click()
    page.get_by_label("Schedule").select_option("weekly")
    page.get_by_label("Day of weekly plans").select_option("Wednesday")
    with page.expect_navigation():
        page.get_by_role("button", name="Make the plan").click()
    row = page.locator("tr", has_text=bucket)
    expect(row).to_contain_text("weekly, Wednesday, 04:00 UTC")
    with page.expect_navigation():
        row.get_by_role("button", name="Approve").click()
    site.follow(row.get_by_role("link", name="Change"))
    expect(page.get_by_text("has approved this rule with its limits")).to_be_visible()
    limit = page.get_by_label("and up to so many bytes")
    expect(limit).to_have_value("10 GiB")
    limit.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("2 TiB")
    picture(site, "edit")
    page.set_viewport_size({"width": 390, "height": 844})
    assert not overflow(page)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_text("The repeating sweep was saved. Its next plan has the new values.")).to_be_visible()
    expect(row).to_contain_text("1,000 uploads and 2.00 TiB")
    expect(row).to_contain_text("nobody yet: each plan waits for approval")
    assert not overflow(page)
    picture(site, "repeating")
    site.goto("/sweeps/repeating/")
    with page.expect_navigation():
        row.get_by_role("button", name="Disable").click()
    with page.expect_navigation():
        row.get_by_role("button", name="Enable").click()
    expect(row.get_by_role("button", name="Disable")).to_be_visible()
    row.get_by_role("button", name="Disable").click()


def test_tables_of_every_sweep_are_shown_whole(site: Site, stack: Stack) -> None:
    """Also that of what a plan spares, above the notice that no upload is left."""
    create = f"from tests.browser.sweep_rows import create\nprint(*create({stack.store!r}, {stack.new_bucket()!r}))"
    for path in stack.run_python(create).split():
        site.goto(path)
        for width in (1280, 390):
            site.page.set_viewport_size({"width": width, "height": 844})
            assert clipped_tables(site.page) == [], (path, width)
