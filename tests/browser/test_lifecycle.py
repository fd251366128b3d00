"""The lifecycle rule of a bucket in the browser, on the OSS test server: seen, simulated, set, changed and removed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.watching import overflow
from tests.domain.lifecycle.documents import OSS_RULE, oss
from tests.stores.oss import OssStore
from tests.stores.servers import Server
from tests.system.direct_store import DirectStore
from tests.system.stack import Stack, wait_for
from uploads.domain.lifecycle.editing import AbortTerms, set_abort
from uploads.domain.lifecycle.rules import Configuration, configuration_of
from uploads.objectstore.xml_document import LifecycleDocument, read_document

STORE = "oss-with-rules"
PICTURES = os.environ.get("LIFECYCLE_PICTURES", "")
"""A folder for pictures of the pages, for somebody who looks at them."""

INVENTORY = """
from datetime import timedelta
from django.utils import timezone
from tests.services.sweeps.make import bucket_row, upload_row
from uploads.models import InventoryBucket, InventorySettings, Store
from uploads.objectstore.types import UploadRef
store = Store.objects.get(name={store!r})
InventorySettings.objects.update_or_create(store=store, defaults={{"alive_hours": 72}})
for key, idle in (("still/sending.bin", timedelta(hours=40)), ("left/long-ago.bin", timedelta(days=60))):
    upload_row(store, {bucket!r}, UploadRef(key, key), idle, parts=1, bytes=5 * 1024**2).save()
InventoryBucket.objects.filter(pk=bucket_row(store, {bucket!r}).pk).update(listed_at=timezone.now())
"""


class Rules:
    """What other programs do with the rules of the bucket."""

    def __init__(self, store: DirectStore, bucket: str) -> None:
        self.store, self.bucket = store, bucket

    @property
    def now(self) -> Configuration:
        return configuration_of(self.store.client.get_bucket_lifecycle(self.bucket))

    def put(self, document: LifecycleDocument) -> None:
        self.store.client.change_bucket_lifecycle(self.bucket, lambda _found: document)

    @property
    def days(self) -> int | None:
        ours = self.now.ours
        return ours.abort.days if ours is not None and ours.abort is not None else None


@pytest.fixture(scope="module")
def keeper(stack: Stack, oss_store: OssStore) -> DirectStore:
    return stack.add_store(STORE, Server("oss", oss_store, lambda quirk: None).config(), oss_store.new_bucket)


@pytest.fixture
def rules(stack: Stack, keeper: DirectStore) -> Rules:
    """A bucket with a rule of somebody else, and with two uploads. One of them is alive."""
    bucket = keeper.new_bucket()
    found = Rules(keeper, bucket)
    found.put(LifecycleDocument(read_document(oss(OSS_RULE), "LifecycleConfiguration")))
    stack.run_python(INVENTORY.format(store=STORE, bucket=bucket))
    return found


def picture(site: Site, name: str) -> None:
    if PICTURES:
        site.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def is_listed(site: Site, bucket: str) -> bool:
    """Open the page of the list that has the bucket. It is listed once the watcher has seen it.

    Other tests of the run have created more buckets than one page lists.
    """
    link, following = (site.page.get_by_role("link", name=name) for name in (bucket, "Next page"))
    site.goto(f"/lifecycle/?store={STORE}")
    while not link.count() and following.count():
        site.follow(following)
    return link.count() > 0


def test_a_rule_is_set_by_keyboard_changed_and_removed(site: Site, rules: Rules) -> None:
    page, others = site.page, [rule.xml for rule in rules.now.others]
    assert others
    wait_for("the bucket in the list", lambda: is_listed(site, rules.bucket))
    site.follow(page.get_by_role("link", name=rules.bucket).first)
    unfinished = page.get_by_role("region", name="Unfinished uploads")
    expect(unfinished).to_contain_text("No rule of this bucket aborts unfinished uploads.")
    expect(page.get_by_role("region", name="Other rules")).to_contain_text("logs/ä")

    page.get_by_label("Days", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("1")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_text("1 of these uploads is alive.")).to_be_visible()
    expect(page.get_by_role("list", name="Some of these uploads")).to_contain_text("still/sending.bin")
    picture(site, "warning")
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert not overflow(page), width
    page.get_by_role("button", name="Save this rule").click()
    assert rules.now.ours is None, "the browser asks for the confirmation first"
    page.get_by_label("Abort them although they are alive").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_text("The store has the rules as they were written.").first).to_be_visible()
    expect(unfinished).to_contain_text("Aborts unfinished uploads 1 day after their last change.")
    assert (rules.days, [rule.xml for rule in rules.now.others]) == (1, others)

    expect(page.get_by_label("Days", exact=True)).to_have_value("1")
    page.get_by_label("Days", exact=True).fill("30")
    site.submit("Show what it would abort")
    expect(page.get_by_text("of these uploads")).to_have_count(0)
    site.submit("Save this rule")
    expect(unfinished).to_contain_text("Aborts unfinished uploads 30 days after their last change.")
    assert (rules.days, [rule.xml for rule in rules.now.others]) == (30, others)
    picture(site, "set")

    site.submit("No longer abort")
    expect(unfinished).to_contain_text("No rule of this bucket aborts unfinished uploads.")
    assert (rules.days, [rule.xml for rule in rules.now.others]) == (None, others)
    expect(page.get_by_role("region", name="Latest changes").get_by_role("row")).to_have_count(4)


def test_a_change_in_the_meantime_shows_both_versions_on_a_phone(site: Site, rules: Rules) -> None:
    page = site.page
    page.set_viewport_size({"width": 390, "height": 844})
    rules.put(set_abort(rules.now, "oss4", AbortTerms(days=11)).document)
    site.goto(f"/stores/{STORE}/{rules.bucket}/lifecycle/")
    page.get_by_label("Days", exact=True).fill("30")
    site.submit("Show what it would abort")
    rules.put(set_abort(rules.now, "oss4", AbortTerms(days=22)).document)
    site.watcher.expect("status of 409")
    site.submit("Save this rule")
    expect(
        page.get_by_text("The rules of the bucket were changed in the meantime. Nothing was written.")
    ).to_be_visible()
    seen = page.get_by_role("region", name=re.compile("^What you saw"))
    now = page.get_by_role("region", name="What the bucket has now")
    expect(seen).to_contain_text("11 days after their last change")
    expect(seen).to_contain_text("Not there any more")
    expect(now).to_contain_text("22 days after their last change")
    expect(now).to_contain_text("New or changed")
    picture(site, "conflict")
    assert not overflow(page)
    assert rules.days == 22

    expect(page.get_by_label("Days", exact=True)).to_have_value("30")
    site.submit("Show what it would abort")
    site.submit("Save this rule")
    expect(page.get_by_text("The store has the rules as they were written.").first).to_be_visible()
    assert rules.days == 30
    assert not overflow(page)
