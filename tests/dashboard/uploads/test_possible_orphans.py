"""Possible orphans: uploads that a transfer may have started. They are shown until they are gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.dashboard.conftest import Start
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
from tests.stores.any_store import ON_SWIFT
from uploads.domain.states import ItemState, Phase, StoreUploadState
from uploads.models import OperationItem, Store, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import UploadRef
from uploads.services.operations.run import run_item

Record = Callable[..., StoreUpload]


@pytest.fixture
def record_orphan(operator: User, store: Store, bucket: str) -> Record:
    """Record an upload as one that a transfer of this operator may have started."""

    def record(name: UploadRef, owner: User = operator) -> StoreUpload:
        transfer = make_transfer(owner, store, bucket=bucket, key=name.key, phase=Phase.DONE)
        return StoreUpload.objects.create(transfer=transfer, upload_id=name.upload_id, state=StoreUploadState.SUSPECT)

    return record


def state_of(row: StoreUpload) -> str:
    return StoreUpload.objects.get(pk=row.pk).state


@ON_SWIFT
@pytest.mark.parametrize("key", ["plain.bin", "a//b c&d=<e>%2F?#ü"])
def test_overview_leads_to_the_abort_of_an_orphan(
    site: Site, start: Start, record_orphan: Record, object_store: ObjectStoreClient, key: str
) -> None:
    name = start(key)
    row = record_orphan(name)
    overview = site.get("/")
    assert "Needs attention" in overview.words
    assert "possible orphan" in overview.words
    assert f'href="/transfers/{row.transfer_id}/"' in overview.text
    (link,) = overview.find("a", href=site.links.detail(name))
    detail = site.get(link.get("href"))
    assert detail.status == 200
    assert "may have been started by" in detail.words
    assert f'href="/transfers/{row.transfer_id}/"' in detail.text
    confirmation = site.get(detail.href("Abort"))
    (value,) = confirmation.hidden_uploads
    assert site.post(site.links.abort_form, {"upload": value}).status == 303
    assert state_of(row) == StoreUploadState.SUSPECT
    for item_id in OperationItem.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True):
        run_item(item_id)
    assert state_of(row) == StoreUploadState.GONE
    assert object_store.list_multipart_uploads(site.bucket).uploads == ()
    assert "Needs attention" not in site.get("/").words


@pytest.mark.parametrize("page", ["detail", "facts"])
def test_orphan_found_gone_needs_no_attention(
    site: Site, start: Start, record_orphan: Record, object_store: ObjectStoreClient, page: str
) -> None:
    name, other = start("key"), start("key")
    row, kept = record_orphan(name), record_orphan(other)
    object_store.abort_multipart_upload(site.bucket, name.key, name.upload_id)
    url = site.links.detail(name) if page == "detail" else site.links.facts(name)
    assert site.get(url).status == (404 if page == "detail" else 200)
    assert (state_of(row), state_of(kept)) == (StoreUploadState.GONE, StoreUploadState.SUSPECT)


def test_unreachable_store_settles_nothing(site: Site, start: Start, record_orphan: Record, store: Store) -> None:
    name = start("key")
    row = record_orphan(name)
    Store.objects.filter(pk=store.pk).update(endpoint_url="http://127.0.0.1:9")
    assert site.get(site.links.detail(name)).status >= 500
    assert state_of(row) == StoreUploadState.SUSPECT


def test_other_uploads_are_not_called_possible_orphans(site: Site, start: Start, record_orphan: Record) -> None:
    record_orphan(start("key"))
    assert "possible orphan" not in site.get(site.links.detail(start("key"))).words.lower()


def test_orphans_are_visible_to_the_owner_and_to_administrators(
    site: Site, administrator: User, administrator_client: Client, start: Start, record_orphan: Record
) -> None:
    name = start("theirs.bin")
    row = record_orphan(name, administrator)
    assert "Needs attention" not in site.get("/").words
    assert "theirs.bin" in Page(administrator_client.get("/")).words
    detail = site.get(site.links.detail(name)).text
    assert f"transfer {row.transfer_id}" in detail
    assert f'href="/transfers/{row.transfer_id}/"' not in detail


def test_possible_orphan_is_not_owned_by_its_transfer(site: Site, start: Start, record_orphan: Record) -> None:
    """Not by a live transfer either: the upload may belong to another program, so it can be aborted separately."""
    name = start("key")
    row = record_orphan(name)
    Transfer.objects.filter(pk=row.transfer_id).update(phase=Phase.SENDING)
    assert site.get(site.links.detail(name)).href("Abort")
