"""Parts that a store lists more than once, on SeaweedFS: it keeps a copy for each time a part was sent.

The whole kind of fault: one of several copies is taken for the part, and the object is silently another one than the
client sent.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.pages import Page
from tests.services.conftest import object_reader
from tests.services.drive import MIB, Drive
from tests.stores.s3 import S3Store
from uploads.domain.states import ItemState, Phase
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, ListedPart, UploadRef
from uploads.problems import Code
from uploads.services.browse.preflight import preflight_complete
from uploads.services.stores.settings import StoreValues, add_store

pytestmark = pytest.mark.django_db(transaction=True)

PART = 5 * MIB
SendPart = Callable[[UploadRef, int, bytes], None]


@pytest.fixture
def store(transactional_db: None, seaweedfs_store: S3Store) -> Store:
    return add_store(
        None,
        StoreValues(
            name="seaweedfs",
            endpoint_url=seaweedfs_store.endpoint_url,
            region=seaweedfs_store.region,
            provider="seaweedfs",
            access_key=seaweedfs_store.access_key,
            secret_key=seaweedfs_store.secret_key,
        ),
    )


@pytest.fixture
def read_object(seaweedfs_store: S3Store, bucket: str) -> Callable[[str], bytes]:
    return object_reader(seaweedfs_store, bucket)


@pytest.fixture
def bucket(seaweedfs_store: S3Store) -> str:
    return seaweedfs_store.new_bucket()


@pytest.fixture
def send_part(client: ObjectStoreClient, bucket: str, tmp_path: Path) -> SendPart:
    def send(upload: UploadRef, number: int, content: bytes) -> None:
        (tmp_path / "part").write_bytes(content)
        body = FileSlice(tmp_path / "part", 0, len(content))
        client.upload_part(bucket, upload.key, upload.upload_id, number, body)

    return send


@pytest.fixture
def upload(client: ObjectStoreClient, bucket: str) -> UploadRef:
    return UploadRef("sent-twice", client.create_multipart_upload(bucket, "sent-twice"))


@pytest.fixture
def send_again(client: ObjectStoreClient, bucket: str, send_part: SendPart) -> SendPart:
    """Send a part once more, in a later second than the copy before: dates have whole seconds."""

    def send(upload: UploadRef, number: int, content: bytes) -> None:
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        before = listed(upload, number).last_modified
        assert before is not None
        time.sleep(max(0.0, before.timestamp() + 1.05 - time.time()))
        send_part(upload, number, content)
        newest = listed(upload, number)
        assert (newest.etag, newest.is_unclear) == (digest, False)

    def listed(upload: UploadRef, number: int) -> ListedPart:
        parts = client.iter_parts(bucket, upload.key, upload.upload_id)
        return next(part for part in parts if part.number == number)

    return send


@pytest.fixture
def browser(user: User, settings: Settings) -> Client:
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
    client = Client()
    client.force_login(user)
    return client


def test_newest_copy_is_completed(
    drive: Drive,
    client: ObjectStoreClient,
    upload: UploadRef,
    send_part: SendPart,
    send_again: SendPart,
    read_object: Callable[[str], bytes],
    browser: Client,
) -> None:
    """The object is the one that the client sent last, and the pages say that there were two copies."""
    stale, new, end = os.urandom(PART), os.urandom(PART + 1), b"end"
    send_part(upload, 1, stale)
    send_part(upload, 2, end)
    send_again(upload, 1, new)
    page = client.list_parts(drive.bucket, upload.key, upload.upload_id)
    assert [part.number for part in page.parts].count(1) > 1, "SeaweedFS lists both copies."
    preflight = preflight_complete(drive.store, drive.bucket, upload)
    assert (preflight.resulting_size, preflight.blockers) == (PART + 1 + 3, ())
    assert Code.PART_COPIES in {each.code for each in preflight.warnings}
    named = {"key": upload.key, "upload-id": upload.upload_id}
    base = f"/stores/{drive.store.name}/{drive.bucket}/uploads"
    assert "Sent more than once: 1" in Page(browser.get(f"{base}/detail/", named)).words
    assert "The object is built from the newest one." in Page(browser.get(f"{base}/complete/", named)).words
    operation = drive.complete(upload)
    drive.work_off()
    item = operation.items.get()
    assert (item.state, item.outcome["verified"], item.outcome["size"]) == (ItemState.DONE, True, PART + 1 + 3)
    assert "etag" in item.outcome["proofs"]
    assert read_object(upload.key) == new + end


@pytest.mark.parametrize("max_parts", [1, 2, 3, 1000])
def test_copy_at_the_end_of_a_page_is_found(
    client: ObjectStoreClient, bucket: str, upload: UploadRef, send_part: SendPart, send_again: SendPart, max_parts: int
) -> None:
    """SeaweedFS continues after the number of the last part, and so leaves out its other copies."""
    for number in range(1, 6):
        send_part(upload, number, b"stale")
    for number in range(1, 6):
        send_again(upload, number, b"the newest")
    parts = list(client.iter_parts(bucket, upload.key, upload.upload_id, max_parts=max_parts))
    if max_parts == 1:
        # A page of one part never shows another copy. Partway itself reads pages of 1,000.
        assert [part.number for part in parts] == [1, 2, 3, 4, 5]
        return
    assert [(part.number, part.size) for part in parts] == [(number, 10) for number in range(1, 6)]


def test_transfer_is_built_from_its_own_bytes(
    drive: Drive, read_object: Callable[[str], bytes], send_again: SendPart
) -> None:
    """Complete names the ETags of the bytes that Partway has sent. SeaweedFS takes the copy with that ETag."""
    content = os.urandom(PART + 7)
    transfer = drive.upload(content, "own", part_size=PART)
    drive.send(transfer)
    send_again(UploadRef("own", transfer.store_uploads.get().upload_id), 1, os.urandom(PART))
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True)
    assert read_object("own") == content
