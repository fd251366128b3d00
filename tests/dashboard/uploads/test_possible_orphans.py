"""Uploads that a transfer may have begun, and nobody knows: shown until somebody has judged them or they are gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.dashboard.conftest import Begin
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
from uploads.domain.states import ItemState, Phase, StoreUploadState
from uploads.models import OperationItem, Store, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import UploadRef
from uploads.services.operations.run import run_item

Suspect = Callable[..., StoreUpload]


@pytest.fixture
def suspect(operator: User, store: Store, bucket: str) -> Suspect:
    """Write an upload of the store down as one that this operator's transfer may have begun."""

    def write_down(name: UploadRef, owner: User = operator) -> StoreUpload:
        transfer = make_transfer(owner, store, bucket=bucket, key=name.key, phase=Phase.DONE)
        return StoreUpload.objects.create(transfer=transfer, upload_id=name.upload_id, state=StoreUploadState.SUSPECT)

    return write_down


def state_of(row: StoreUpload) -> str:
    return StoreUpload.objects.get(pk=row.pk).state


@pytest.mark.parametrize("key", ["plain.bin", "a//b c&d=<e>%2F?#ü"])
def test_from_the_overview_to_its_abort_and_then_no_more(
    site: Site, begin: Begin, suspect: Suspect, object_store: ObjectStoreClient, key: str
) -> None:
    name = begin(key)
    row = suspect(name)
    overview = site.get("/")
    assert "Needs attention" in overview.text
    assert "possible orphan" in overview.text
    assert f'href="/transfers/{row.transfer_id}/"' in overview.text
    shown = [url for url in (site.links.detail(name),) if url.replace("&", "&amp;") in overview.text]
    assert shown, overview.text
    detail = site.get(shown[0])
    assert detail.status == 200
    assert "may have been begun by" in detail.text
    assert f'href="/transfers/{row.transfer_id}/"' in detail.text
    asking = site.get(detail.href("Abort"))
    (value,) = asking.hidden_uploads
    assert site.post(site.links.abort_form, {"upload": value}).status == 303
    assert state_of(row) == StoreUploadState.SUSPECT
    for item_id in OperationItem.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True):
        run_item(item_id)
    assert state_of(row) == StoreUploadState.GONE
    assert object_store.list_multipart_uploads(site.bucket).uploads == ()
    assert "Needs attention" not in site.get("/").text


@pytest.mark.parametrize("page", ["detail", "facts"])
def test_one_that_is_gone_when_it_is_looked_at_needs_no_attention(
    site: Site, begin: Begin, suspect: Suspect, object_store: ObjectStoreClient, page: str
) -> None:
    name, other = begin("key"), begin("key")
    row, kept = suspect(name), suspect(other)
    object_store.abort_multipart_upload(site.bucket, name.key, name.upload_id)
    url = site.links.detail(name) if page == "detail" else site.links.facts(name)
    assert site.get(url).status == (404 if page == "detail" else 200)
    assert (state_of(row), state_of(kept)) == (StoreUploadState.GONE, StoreUploadState.SUSPECT)


def test_a_store_that_cannot_be_asked_settles_nothing(site: Site, begin: Begin, suspect: Suspect, store: Store) -> None:
    name = begin("key")
    row = suspect(name)
    Store.objects.filter(pk=store.pk).update(endpoint_url="http://127.0.0.1:9")
    assert site.get(site.links.detail(name)).status >= 500
    assert state_of(row) == StoreUploadState.SUSPECT


def test_an_upload_that_is_no_suspect_says_nothing_of_it(site: Site, begin: Begin, suspect: Suspect) -> None:
    suspect(begin("key"))
    assert "possible orphan" not in site.get(site.links.detail(begin("key"))).text.lower()


def test_those_of_others_are_for_them_and_for_administrators(
    site: Site, administrator: User, administrator_client: Client, begin: Begin, suspect: Suspect
) -> None:
    name = begin("theirs.bin")
    row = suspect(name, administrator)
    assert "Needs attention" not in site.get("/").text
    assert "theirs.bin" in Page(administrator_client.get("/")).text
    detail = site.get(site.links.detail(name)).text
    assert f"transfer {row.transfer_id}" in detail
    assert f'href="/transfers/{row.transfer_id}/"' not in detail


def test_a_transfer_that_is_done_owns_no_suspect(site: Site, begin: Begin, suspect: Suspect) -> None:
    """Nor does one that lives: it may be anybody's, so that it may be aborted here."""
    name = begin("key")
    row = suspect(name)
    Transfer.objects.filter(pk=row.transfer_id).update(phase=Phase.SENDING)
    assert site.get(site.links.detail(name)).href("Abort")
