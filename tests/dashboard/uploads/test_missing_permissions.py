"""A missing permission affects the pages that need it, and no others.

Tested on Swift behind a proxy that refuses single operations, and on the OSS test server, which can deny an account
single actions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.pages import Page, Site
from tests.services.drive import Drive
from tests.stores.oss import OssStore
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.models import Operation, OperationItem, Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.permissions import PERMISSIONS
from uploads.objectstore.types import Credentials, FileSlice, StoreConfig, UploadRef
from uploads.services.operations.run import run_item
from uploads.services.stores.settings import StoreValues, add_store
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.steps import request_cancel

ALL = tuple(name for name in PERMISSIONS if "Lifecycle" not in name)


@dataclass
class Narrow:
    """A store whose credentials lack one permission, the operator's pages of it, and a client that lacks none."""

    kind: str
    operation: str
    client: Client
    user: User
    store: Store
    bucket: str
    owner: ObjectStoreClient = field(repr=False)
    scratch: Path = field(repr=False)

    @property
    def site(self) -> Site:
        return Site(self.client, self.store.name, self.bucket)

    @property
    def action(self) -> str:
        """The name of the permission in the policies of this kind of store."""
        permission = PERMISSIONS[self.operation]
        return ", ".join(permission.oss if self.kind == "oss" else permission.s3)

    def start(self, key: str = "a/key") -> UploadRef:
        upload_id = self.owner.create_multipart_upload(self.bucket, key)
        self.scratch.write_bytes(b"some bytes")
        self.owner.upload_part(self.bucket, key, upload_id, 1, FileSlice(self.scratch, 0, 10))
        return UploadRef(key, upload_id)

    def is_open(self, upload: UploadRef) -> bool:
        uploads = self.owner.list_multipart_uploads(self.bucket).uploads
        return upload in [UploadRef(each.key, each.upload_id) for each in uploads]


@pytest.fixture(params=["swift", "oss"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def narrow(
    kind: str, operation: str, request: pytest.FixtureRequest, operator: User, operator_client: Client, tmp_path: Path
) -> Iterator[Narrow]:
    if kind == "swift":
        swift: SwiftStore = request.getfixturevalue("swift_store")
        bucket, credentials = swift.new_bucket(), Credentials(swift.access_key, swift.secret_key)
        config = StoreConfig(swift.endpoint_url, swift.region, credentials, provider="swift")
        with FaultProxy(swift.endpoint_url) as proxy, ObjectStoreClient(config) as owner:
            proxy.always("DELETE" if operation == "DeleteObject" else operation, Fault.ACCESS_DENIED)
            store = _stored("swift", proxy.url, swift.region, bucket, swift.access_key, swift.secret_key)
            yield Narrow(kind, operation, operator_client, operator, store, bucket, owner, tmp_path / "scratch")
        return
    oss: OssStore = request.getfixturevalue("oss_store")
    bucket, credentials = oss.new_bucket(), Credentials(oss.access_key, oss.secret_key)
    account = oss.new_account(denied=PERMISSIONS[operation].oss)
    config = StoreConfig(oss.endpoint_url, oss.region, credentials, "oss", "virtual", "oss4")
    with ObjectStoreClient(config) as owner:
        store = _stored("oss", oss.endpoint_url, oss.region, bucket, account.access_key, account.secret_key)
        yield Narrow(kind, operation, operator_client, operator, store, bucket, owner, tmp_path / "scratch")


def _stored(provider: str, url: str, region: str, bucket: str, access_key: str, secret_key: str) -> Store:
    return add_store(
        None,
        StoreValues(
            name="narrow",
            endpoint_url=url,
            region=region,
            provider=provider,
            access_key=access_key,
            secret_key=secret_key,
            buckets=(bucket,),
        ),
    )


def run_items() -> None:
    for item_id in OperationItem.objects.values_list("pk", flat=True):
        run_item(item_id)


def pages(narrow: Narrow, upload: UploadRef) -> dict[str, Page]:
    """Each page that a permission may affect, by the operation that it shows."""
    site = narrow.site
    return {
        "ListBuckets": site.get("/stores/narrow/"),
        "ListMultipartUploads": site.listing(),
        "ListParts": site.get(site.links.detail(upload)),
        "complete": site.get(site.links.complete(upload)),
        "abort": site.get(site.links.abort(upload)),
        "new": site.get("/transfers/new/"),
    }


AFFECTED = {
    "ListMultipartUploads": {"ListMultipartUploads"},
    "ListParts": {"ListParts", "complete"},
}
"""The pages that fail without an operation. Without ListBuckets, named buckets are shown instead."""


@pytest.mark.parametrize("operation", ALL)
def test_no_page_fails_because_of_a_permission_that_it_does_not_need(narrow: Narrow) -> None:
    shown = pages(narrow, narrow.start())
    failed = {name for name, page in shown.items() if page.status != 200}
    assert failed == AFFECTED.get(narrow.operation, set())
    for name in failed:
        assert shown[name].status == 403
        assert "The credentials do not allow this" in shown[name].words
        assert narrow.action in shown[name].words


@pytest.mark.parametrize("operation", ["ListBuckets"])
def test_without_list_buckets_named_buckets_are_shown(narrow: Narrow) -> None:
    page = narrow.site.get("/stores/narrow/")
    assert "cannot list buckets" in page.words
    assert page.find("a", href=narrow.site.links.uploads)
    assert "AccessDenied" in page.words


@pytest.mark.parametrize("operation", ["ListMultipartUploads"])
def test_without_list_uploads_an_upload_is_opened_by_key_and_id(narrow: Narrow) -> None:
    upload = narrow.start()
    page = narrow.site.listing()
    assert 'name="upload-id"' in page.text
    assert "AccessDenied" in page.words
    detail = narrow.site.get(narrow.site.links.detail(upload))
    assert "<caption" in detail.text
    assert narrow.site.get(narrow.site.links.part_summary(upload)).status == 200
    narrow.site.post(narrow.site.links.abort_form, _named(upload))
    run_items()
    assert not narrow.is_open(upload)


@pytest.mark.parametrize("operation", ["ListParts"])
def test_without_list_parts_the_listing_works_and_the_upload_can_be_aborted(narrow: Narrow) -> None:
    upload = narrow.start()
    assert narrow.site.listing().rows == [upload]
    cells = narrow.site.get(narrow.site.links.facts(upload))
    assert cells.status == 200
    assert "explanation" not in cells.text
    assert "<td" in cells.text
    detail = narrow.site.get(narrow.site.links.detail(upload))
    assert detail.href("Abort…") == narrow.site.links.abort(upload)
    confirmation = narrow.site.get(narrow.site.links.abort(upload))
    assert "Not known, because the parts cannot be listed: The credentials do not allow this." in confirmation.words
    narrow.site.post(narrow.site.links.abort_form, _named(upload))
    run_items()
    item = OperationItem.objects.get()
    assert item.state == "done"
    assert item.outcome_error is not None
    assert item.outcome_error.code == "AccessDenied"
    assert not narrow.is_open(upload)


def _named(upload: UploadRef) -> dict[str, str]:
    return {"key": upload.key, "upload-id": upload.upload_id}


@pytest.mark.parametrize("operation", ["HeadObject"])
def test_without_head_a_completion_is_done_unverified(narrow: Narrow, settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "staging"
    upload = narrow.start()
    fields = narrow.site.get(narrow.site.links.complete(upload)).fields
    requested = narrow.site.post(narrow.site.links.complete_form, fields)
    run_items()
    item = OperationItem.objects.get()
    assert (item.state, item.outcome["verified"]) == ("done", False)
    assert "Done, unverified" in narrow.site.get(requested.response["Location"]).words
    assert narrow.owner.head_object(narrow.bucket, "a/key").size == 10
    drive = Drive(narrow.user, narrow.store, narrow.bucket)
    sent = drive.finish(drive.upload(b"a small file", "small"))
    assert (sent.phase, sent.verified, sent.error_code) == ("done", False, "AccessDenied")
    assert narrow.owner.head_object(narrow.bucket, "small").size == 12


@pytest.mark.parametrize("operation", ["HeadObject"])
def test_without_head_replacing_needs_consent_if_the_store_would_refuse_it(narrow: Narrow) -> None:
    fields = {"store": narrow.store.name, "bucket": narrow.bucket, "key": "a/key"}
    text = " ".join(narrow.client.get("/transfers/new/existing/", fields).content.decode().split())
    assert "do not allow HEAD" in text
    assert ("the store keeps it" in text) == ('name="replace"' in text) == (narrow.kind == "oss")
    assert ("If one exists, it is replaced." in text) == (narrow.kind != "oss")


@pytest.mark.parametrize("operation", ["AbortMultipartUpload"])
def test_without_abort_the_operation_fails_and_names_the_permission(narrow: Narrow) -> None:
    upload = narrow.start()
    requested = narrow.site.post(narrow.site.links.abort_form, _named(upload))
    run_items()
    item = OperationItem.objects.get()
    assert (item.state, item.error_code) == ("failed", "AccessDenied")
    page = narrow.site.get(requested.response["Location"])
    assert narrow.action in page.words
    assert narrow.is_open(upload)


@pytest.mark.parametrize("operation", ["AbortMultipartUpload"])
def test_without_abort_a_cancelled_transfer_waits_and_names_the_permission(
    narrow: Narrow, settings: Settings, tmp_path: Path
) -> None:
    settings.STAGING_DIR = tmp_path / "staging"
    drive = Drive(narrow.user, narrow.store, narrow.bucket)
    transfer = drive.start(2 * 5 * 1024**2, part_size=5 * 1024**2)
    drive.receive(transfer, bytes(transfer.size))
    drive.send(transfer, parts=1)
    request_cancel(narrow.user, transfer)
    cancel_transfer(transfer.pk)
    transfer = Transfer.objects.get(pk=transfer.pk)
    assert transfer.desired_state == "cancel"
    assert transfer.error_code == "AccessDenied"
    assert narrow.action in narrow.site.get(f"/transfers/{transfer.pk}/").words


@pytest.mark.parametrize("operation", ["CompleteMultipartUpload"])
def test_without_complete_the_operation_fails_and_names_the_permission(narrow: Narrow) -> None:
    upload = narrow.start()
    fields = narrow.site.get(narrow.site.links.complete(upload)).fields
    narrow.site.post(narrow.site.links.complete_form, fields)
    run_items()
    operation = Operation.objects.get()
    assert narrow.action in narrow.site.get(f"/operations/{operation.pk}/").words
    assert narrow.is_open(upload)
