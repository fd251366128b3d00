"""The search box of the header without JavaScript: one match is opened, several are listed, none says what to do."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.dashboard.conftest import Start
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import UploadRef

HOSTILE = "a b/<i>é\u202e&?#%2F+.bin"


def note(store: Store, bucket: str, upload: UploadRef) -> InventoryUpload:
    """What a scan writes of an upload."""
    place, _ = InventoryBucket.objects.get_or_create(store=store, name=bucket)
    now = timezone.now()
    times = dict.fromkeys(("first_seen_at", "last_seen_at", "started_at", "active_at"), now)
    identity = upload_identity(place.pk, upload.key, upload.upload_id)
    return InventoryUpload.objects.create(
        store=store, bucket=place, key=upload.key, upload_id=upload.upload_id, identity=identity, **times
    )


def search(site: Site, text: str) -> Page:
    return site.get(f"/search/?{urlencode({'q': text})}")


def test_every_page_has_the_search_box(site: Site) -> None:
    for url in ("/", "/stores/", site.links.uploads, "/search/"):
        (box,) = site.get(url).find("input", name="q", type="search")
        assert box.parent is not None
        assert (box.parent.get("action"), box.parent.get("method")) == ("/search/", "get")


def test_users_without_a_role_have_no_search_box(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create(username="nobody"))
    assert not Page(client.get("/account/")).find("input", name="q")


def test_one_match_is_opened(site: Site, store: Store, bucket: str, start: Start) -> None:
    upload = start(HOSTILE, {1: 5})
    note(store, bucket, upload)
    for text in (upload.upload_id, f"PUT /{bucket}/x?uploadId={upload.upload_id} 403", HOSTILE, f" {HOSTILE} "):
        found = search(site, text)
        assert found.status == 303, text
        page = site.get(found.response["Location"])
        assert (page.status, upload.upload_id in page.text) == (200, True)
    assert search(site, bucket).response["Location"] == site.links.uploads
    assert search(site, store.name).response["Location"] == f"/stores/{store.name}/"


def test_several_matches_are_listed_with_their_kinds(site: Site, store: Store, bucket: str, operator: User) -> None:
    note(store, bucket, UploadRef(HOSTILE, "the-first-id"))
    note(store, bucket, UploadRef(HOSTILE, "the-second-id"))
    transfer = make_transfer(operator, store, bucket=bucket, key=HOSTILE)
    page = search(site, HOSTILE)
    assert page.status == 200
    links = [link.get("href") for link in page.find("a") if link.parent and link.parent.get("scope") == "row"]
    uploads = {site.links.detail(UploadRef(HOSTILE, f"the-{each}-id")) for each in ("first", "second")}
    assert (set(links[:2]), links[2:]) == (uploads, [f"/transfers/{transfer.pk}/"])
    kinds = [cell.text for cell in page.find("td", "fit")]
    assert kinds == ["Upload", "Upload", "Transfer"]
    assert "<i>" not in page.text
    assert page.find("input", name="q", type="search")[0].get("value") == HOSTILE


def test_nothing_says_what_was_searched_and_opens_an_upload_that_no_scan_has_seen(
    site: Site, store: Store, bucket: str, start: Start
) -> None:
    upload = start("dir/unseen.bin", {1: 5})
    line = f'10.0.0.7 "PUT /{bucket}/dir/unseen.bin?partNumber=1&uploadId={upload.upload_id} HTTP/1.1" 403'
    page = search(site, line)
    assert "Nothing was found" in page.words
    assert "No store was asked." in page.words
    fields = {each.get("name"): each.get("value") for each in page.find("input", "mono")}
    assert fields == {"bucket": bucket, "key": "dir/unseen.bin", "upload-id": upload.upload_id}
    opened = site.get(f"/search/?{urlencode({'store': store.name, **fields})}")
    shown = site.client.get(opened.response["Location"], follow=True)
    assert (shown.status_code, upload.upload_id in shown.content.decode()) == (200, True)


def test_without_a_text_the_page_says_what_can_be_searched(site: Site) -> None:
    for url in ("/search/", "/search/?q=", "/search/?q=%20%20"):
        page = site.get(url)
        assert (page.status, "What are you looking for?" in page.words) == (200, True)


@pytest.mark.parametrize("query", ["q=%00", "q=a&q=b", "q=%ff", "q=" + "x" * 4097])
def test_bad_texts_are_refused(site: Site, query: str) -> None:
    assert site.get(f"/search/?{query}").status == 400


def test_stores_of_others_cannot_be_opened(site: Site) -> None:
    assert site.get("/search/?store=none&bucket=b&key=k&upload-id=u").status == 404
