"""Store checks, transfers and completions on each test server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive
from tests.stores.servers import IN_SUITE, Server, server_of
from uploads.domain.states import ItemState, Phase
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason
from uploads.objectstore.types import FileSlice, SentBytes, UploadRef
from uploads.problems import Code
from uploads.services.stores.checks.request import request_check
from uploads.services.stores.checks.run import run_store_check
from uploads.services.stores.settings import StoreValues, add_store

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = b"the object before"
CLAIMS_COMPLETED = "reports success for a missing upload if there is an object"


@pytest.fixture(params=IN_SUITE)
def server(request: pytest.FixtureRequest) -> Server:
    return server_of(request)


@pytest.fixture
def store(transactional_db: None, server: Server) -> Store:
    """The store as an administrator adds it, with the overrides of a check."""
    given = server.config()
    store = add_store(
        None,
        StoreValues(
            name=server.name,
            endpoint_url=given.endpoint_url,
            region=given.region,
            provider=given.provider,
            access_key=given.credentials.access_key,
            secret_key=given.credentials.secret_key,
        ),
    )
    Store.objects.filter(pk=store.pk).update(overrides=dict(server.kind.overrides))
    return Store.objects.get(pk=store.pk)


@pytest.fixture
def bucket(server: Server) -> str:
    return server.store.new_bucket()


def put_before(client: ObjectStoreClient, bucket: str, key: str, folder: Path) -> None:
    path = folder / "before"
    path.write_bytes(BEFORE)
    client.put_object(bucket, key, FileSlice(path, 0, len(BEFORE)))


def test_what_a_check_finds(store: Store, server: Server, bucket: str, client: ObjectStoreClient) -> None:
    """A store check finds the quirks that are not in the provider's profile, and no others"""
    Store.objects.filter(pk=store.pk).update(overrides={})
    store.refresh_from_db()
    check = request_check(None, store, bucket, here=True)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.error, check.leftovers) == (None, [])
    assert check.overrides == dict(server.kind.overrides)
    assert [page.uploads for page in client.iter_multipart_uploads(bucket)] == [()]


def test_a_transfer_of_three_parts(
    drive: Drive, store: Store, server: Server, bucket: str, client: ObjectStoreClient
) -> None:
    """A transfer of three parts is done and verified by HEAD"""
    size = server.profile.min_part_size
    data = os.urandom(2 * size + 1000)
    transfer = drive.finish(drive.upload(data, "a/key", part_size=size, metadata={"mine": "1"}))
    assert (transfer.phase, transfer.verified, transfer.part_count) == (Phase.DONE, True, 3)
    facts = client.head_object(bucket, "a/key")
    assert (facts.size, facts.metadata["mine"], facts.etag) == (len(data), "1", transfer.etag)


def test_a_transfer_whose_upload_is_aborted(
    drive: Drive, store: Store, server: Server, bucket: str, client: ObjectStoreClient, tmp_path: Path
) -> None:
    """A transfer whose upload is aborted just before completion fails, and the existing object stays"""
    put_before(client, bucket, "a/key", tmp_path)
    size = server.profile.min_part_size
    transfer = drive.upload(os.urandom(2 * size), "a/key", part_size=size, replace=True)
    drive.send(transfer)
    upload_id = transfer.store_uploads.get().upload_id
    client.abort_multipart_upload(bucket, "a/key", upload_id)
    # A store that claims success, or fails, is looked at repeatedly.
    transfer = drive.finish(transfer, rounds=10)
    assert (transfer.phase, transfer.verified) == (Phase.FAILED, False)
    assert client.head_object(bucket, "a/key").size == len(BEFORE)
    if server.does(CLAIMS_COMPLETED):
        assert transfer.error_reason == Code.OBJECT_DIFFERS
        assert transfer.error_params == {"expected_size": 2 * size, "size": len(BEFORE)}
    elif server.does("returns NoSuchKey for a missing upload"):
        # CompleteMultipartUpload always returns 500: ListParts shows that the upload is gone.
        assert server.does("returns 500 when a missing upload is completed")
        assert transfer.error_code == "NoSuchKey"
    else:
        assert transfer.error_code == "NoSuchUpload"
    if not server.does(CLAIMS_COMPLETED):
        assert transfer.error_reason == Reason.NO_SUCH_UPLOAD


def test_a_completion_whose_upload_is_aborted(
    drive: Drive,
    store: Store,
    server: Server,
    bucket: str,
    client: ObjectStoreClient,
    user: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A completion whose upload is aborted at the last moment is not verified, and the existing object stays"""
    put_before(client, bucket, "k", tmp_path)
    upload_id = client.create_multipart_upload(bucket, "k")
    (tmp_path / "part").write_bytes(b"new")
    client.upload_part(bucket, "k", upload_id, 1, FileSlice(tmp_path / "part", 0, 3))
    complete = ObjectStoreClient.complete_multipart_upload

    def abort_and_complete(
        self: ObjectStoreClient, bucket: str, key: str, upload_id: str, *args: Any, **more: Any
    ) -> SentBytes:
        monkeypatch.undo()
        client.abort_multipart_upload(bucket, key, upload_id)
        return complete(self, bucket, key, upload_id, *args, **more)

    monkeypatch.setattr(ObjectStoreClient, "complete_multipart_upload", abort_and_complete)
    operation = Drive(user, store, bucket).complete(UploadRef("k", upload_id), replace=True)
    drive.work_off()
    item = operation.items.get()
    assert client.head_object(bucket, "k").size == len(BEFORE)
    if server.does(CLAIMS_COMPLETED):
        # The store reports success, and HEAD shows another object: done, but not verified.
        assert (item.state, item.outcome["verified"]) == (ItemState.DONE, False)
    else:
        # A 500 does not say whether the store has acted.
        is_open = server.does("returns 500 when a missing upload is completed")
        assert item.state == (ItemState.UNKNOWN if is_open else ItemState.FAILED)
        assert item.error_reason == Reason.NO_SUCH_UPLOAD
