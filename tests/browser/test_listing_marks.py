"""Rows of a misreporting listing: unlisted uploads are shown with their facts, and gone ones cannot be selected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import overflow, widest
from tests.dashboard.misreporting import MisreportingStore, like_minio, misreporting
from tests.system.stack import Stack

OWN_UPLOADS = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from uploads.models import Store, StoreUpload, Transfer
store = Store.objects.create(name="faulty", provider="minio", endpoint_url={url!r}, region={region!r},
    access_key={access_key!r}, secret_key={secret_key!r})
for key, upload_id in {names!r}:
    transfer = Transfer.objects.create(
        owner=User.objects.get(username="admin"), store=store, bucket={bucket!r}, key=key, size=20, part_size=10,
        part_count=2, node="elsewhere", phase="failed", all_received=True)
    row = StoreUpload.objects.create(transfer=transfer, upload_id=upload_id)
    StoreUpload.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=3))
"""
"""Transfers that have failed, so that no worker touches their uploads."""

REMOVE = """
from uploads.models import Store, Transfer
Transfer.objects.filter(store__name="faulty").delete()
Store.objects.filter(name="faulty").delete()
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A bucket of a store whose listing leaves out two uploads of Partway and keeps naming one that was aborted."""

    bucket: str
    faulty_store: MisreportingStore

    @property
    def listing(self) -> str:
        return f"/stores/faulty/{self.bucket}/uploads/"


@pytest.fixture
def scene(stack: Stack, tmp_path: Path) -> Iterator[Scene]:
    bucket, part = stack.new_bucket(), tmp_path / "part"
    kept = [
        (key, stack.create_upload(bucket, key, {1: 2000}, part)) for key in ("films/one.mov", "notes.txt", "zoo.tar")
    ]
    lost = [(key, stack.create_upload(bucket, key, {1: 3000, 3: 10}, part)) for key in ("films/lost.mov", "lost.iso")]
    gone = ("lost too.iso", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA")
    with misreporting(stack.client, stack.server.endpoint_url) as faulty_store:
        faulty_store.make_page = like_minio
        faulty_store.omitted = {upload_id for _, upload_id in lost}
        pages = stack.client.iter_multipart_uploads(bucket)
        faulty_store.kept = [each for page in pages for each in page.uploads if (each.key, each.upload_id) in kept]
        stack.run_python(
            OWN_UPLOADS.format(
                url=faulty_store.url,
                region=stack.server.region,
                access_key=stack.server.access_key,
                secret_key=stack.server.secret_key,
                names=[*lost, gone],
                bucket=bucket,
            )
        )
        yield Scene(bucket, faulty_store)
        stack.run_python(REMOVE)


def abort(stack: Stack, scene: Scene, key: str) -> None:
    (upload,) = (each for each in scene.faulty_store.kept if each.key == key)
    stack.client.abort_multipart_upload(scene.bucket, key, upload.upload_id)


def test_row_that_is_gone_is_deselected_permanently(site: Site, stack: Stack, scene: Scene) -> None:
    """Its checkbox was selected before its facts arrived."""
    page, held, released = site.page, list[Route](), list[bool]()

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    page.route("**/facts/**", hold)
    page.goto(scene.listing)
    page.get_by_label("Select all on this page").check()
    button = page.get_by_role("button", name="Abort selected")
    expect(button).to_contain_text("(3)")
    abort(stack, scene, "notes.txt")
    released.append(True)
    for route in held:
        route.continue_()
    row = site.row("notes.txt")
    expect(row).to_contain_text("the store still listed it")
    box = row.locator("input[type=checkbox]")
    expect(box).not_to_be_checked()
    expect(box).to_be_disabled()
    expect(button).to_contain_text("(2)")
    page.get_by_label("Select all on this page").uncheck()
    page.get_by_label("Select all on this page").check()
    expect(box).not_to_be_checked()
    expect(button).to_contain_text("(2)")
    with page.expect_navigation():
        button.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Abort 2 uploads?")
    expect(page.locator("main")).not_to_contain_text("notes.txt")


def test_facts_of_unlisted_uploads_are_fetched(site: Site, scene: Scene) -> None:
    site.page.goto(scene.listing)
    expect(site.row("lost.iso")).to_contain_text("still there")
    expect(site.row("lost.iso")).to_contain_text("gap")
    expect(site.row("lost too.iso")).to_contain_text("gone")
    expect(site.row("lost.iso").locator("input")).to_have_count(0)
    site.follow(site.row("lost.iso").get_by_role("link", name="lost.iso"))
    expect(site.page.get_by_role("heading", level=1)).to_have_text("lost.iso")


def test_without_javascript_the_row_links_to_the_upload(open_site: OpenSite, scene: Scene) -> None:
    site = open_site(java_script_enabled=False)
    site.page.goto(scene.listing)
    expect(site.row("lost.iso")).to_contain_text("not listed")
    site.follow(site.row("lost.iso").get_by_role("link", name="lost.iso"))
    expect(site.page.get_by_role("heading", level=1)).to_have_text("lost.iso")


@pytest.mark.parametrize("query", ["", "?delimiter=/", "?prefix=films/"])
def test_marks_fit_every_width(site: Site, scene: Scene, query: str) -> None:
    for width in (390, 768, 1440):
        site.page.set_viewport_size({"width": width, "height": 844})
        site.page.goto(scene.listing + query, wait_until="networkidle")
        assert overflow(site.page) == 0, (width, widest(site.page))
