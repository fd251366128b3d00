"""SeaweedFS names only an upload id for the next page, and with a key marker it lists only the uploads of that key.

The whole kind of fault: a listing that says that it ends although more uploads follow, because its markers are not used
as the store means them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
from tests.dashboard.uploads.test_many_uploads import Crowd, pages_from
from tests.dashboard.uploads.test_many_uploads import start as start_crowd
from tests.stores.s3 import S3Store
from uploads.models import Store, StoreUpload
from uploads.objectstore.types import UploadRef
from uploads.services.stores.settings import StoreValues, add_store

pytestmark = pytest.mark.timeout(900)

COUNT = 2_500


@pytest.fixture(scope="module")
def crowd(seaweedfs_store: S3Store) -> Crowd:
    return start_crowd(seaweedfs_store, "seaweedfs", COUNT)


@pytest.fixture
def site_of(db: None, operator_client: Client, crowd: Crowd) -> Callable[[str], Site]:
    """The pages of the crowd's bucket, in a store with that provider."""

    def add(provider: str) -> Site:
        server = crowd.server
        values = StoreValues(
            name=provider,
            provider=provider,
            endpoint_url=server.endpoint_url,
            region=server.region,
            access_key=server.access_key,
            secret_key=server.secret_key,
        )
        add_store(None, values)
        return Site(operator_client, provider, crowd.bucket)

    return add


@pytest.fixture(params=["seaweedfs", "generic"])
def site(request: pytest.FixtureRequest, site_of: Callable[[str], Site]) -> Site:
    """With its profile, and with one that knows nothing about the store and was not checked."""
    return site_of(request.param)


@pytest.mark.parametrize("size", [100, 1000])
def test_links_lead_to_every_upload_once(site: Site, crowd: Crowd, store_requests: list[str], size: int) -> None:
    pages = list(pages_from(site, f"{site.links.uploads}?max-uploads={size}"))
    assert Counter(row for page in pages for row in page.rows) == crowd.started
    assert len(store_requests) == len(pages)
    assert not [page for page in pages if "key-marker" in page.words]
    back = pages[-1]
    while url := back.link("prev"):
        back = site.get(url)
    assert back.rows == pages[0].rows


def test_script_that_follows_the_markers_gets_every_upload(site: Site, crowd: Crowd) -> None:
    found: Counter[UploadRef] = Counter()
    query = "max-uploads=900"
    while True:
        page = site.json(f"{site.links.uploads}?{query}").json
        found.update(UploadRef(each["Key"], each["UploadId"]) for each in page["Uploads"])
        if not page["IsTruncated"]:
            break
        markers = f"key-marker={quote(page['NextKeyMarker'])}&upload-id-marker={quote(page['NextUploadIdMarker'])}"
        query = f"max-uploads=900&{markers}"
    assert found == crowd.started
    assert (page["MayBeIncomplete"], page["NextKeyMarker"], page["NextUploadIdMarker"]) == (False, "", "")


def test_markers_that_are_entered_start_the_page(site_of: Callable[[str], Site], crowd: Crowd) -> None:
    """Also the pair of an upload, as other stores need it. The page says that a key marker has no meaning here."""
    site = site_of("seaweedfs")
    by_id = sorted(crowd.started, key=lambda name: name.upload_id)
    after = by_id[1199]
    alone = site.listing(f"upload-id-marker={after.upload_id}&max-uploads=50")
    assert alone.rows == by_id[1200:1250]
    assert "key-marker" not in alone.words
    pair = site.listing(f"key-marker={quote(after.key)}&upload-id-marker={after.upload_id}&max-uploads=50")
    assert pair.rows == by_id[1200:1250]
    assert "did not send the key-marker" in pair.words
    key = site.listing(f"key-marker={quote(after.key)}&max-uploads=50")
    assert key.rows == by_id[:50]
    assert "did not send the key-marker" in key.words
    assert not key.link("first")


def test_own_uploads_are_expected_on_the_page_of_their_upload_id(
    site_of: Callable[[str], Site], crowd: Crowd, operator: User
) -> None:
    site = site_of("seaweedfs")
    store = Store.objects.get(name="seaweedfs")
    ours = list(crowd.started)[::50]
    for name in ours:
        make_transfer(operator, store, bucket=crowd.bucket, key=name.key, upload_id=name.upload_id)
    lost = "8000000000000000_lost"
    make_transfer(operator, store, bucket=crowd.bucket, key="big/lost", upload_id=lost)
    StoreUpload.objects.update(created_at=timezone.now() - timedelta(days=1))
    pages = list(pages_from(site, f"{site.links.uploads}?max-uploads=700"))
    with_lost = [page for page in pages if lost in page.text]
    assert [page for page in pages if "Not in the store's listing" in page.words] == with_lost
    (page,) = with_lost
    assert page.rows[0].upload_id < lost
    assert "group-head" in page.text
    assert sum(page.text.count('class="badge"') for page in pages) == len(ours) + 1


def test_folders_hold_every_upload(site_of: Callable[[str], Site], crowd: Crowd) -> None:
    """A folder may be on several pages, because its uploads are. SeaweedFS ignores the delimiter."""
    site = site_of("seaweedfs")
    top = list(pages_from(site, f"{site.links.uploads}?max-uploads=1000&delimiter=/"))
    rows = Counter(row for page in top for row in page.rows)
    assert rows == Counter(name for name in crowd.started if "/" not in name.key)
    folders = {url for page in top for url in page.folders}
    assert len(folders) == len({name.key.split("/")[0] for name in crowd.started if "/" in name.key})
    assert all("may be on several pages" in page.words for page in top[:2])
    inside = Counter(row for url in folders for page in _all_inside(site, url) for row in page.rows)
    assert inside + rows == crowd.started


def _all_inside(site: Site, url: str) -> Iterator[Page]:
    """Every page of a folder and of the folders in it."""
    inner: set[str] = set()
    for page in pages_from(site, url):
        yield page
        inner |= set(page.folders)
    for folder in inner:
        yield from _all_inside(site, folder)
