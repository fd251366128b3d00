"""All work with a real store whose responses have damaged texts, and times and numbers that are out of range."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.services.drive import Drive
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import ItemState
from uploads.models import AuditEntry, OperationItem, Part, Store, StoreCheck
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.permissions import PERMISSIONS
from uploads.objectstore.types import FileSlice, ListedPart, UploadRef
from uploads.services.operations.order import request_abort
from uploads.services.transfers.replaced_parts import differs

MIB = 1024 * 1024


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultProxy]:
    """All requests of the store's clients pass a proxy that makes its responses strange."""
    with FaultProxy(store.endpoint_url) as proxy:
        for operation in (*PERMISSIONS, "ListBuckets"):
            proxy.always(operation, Fault.STRANGE_VALUES)
        Store.objects.filter(pk=store.pk).update(endpoint_url=proxy.url)
        store.refresh_from_db()
        yield proxy


def test_check_of_store_reports_strange_values(proxy: FaultProxy, store: Store, bucket: str) -> None:
    """Values that made the check end with a traceback and stay active."""
    written = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("check_store", store.name, "--bucket", bucket, "--yes", stdout=written)
    check = StoreCheck.objects.get()
    assert not check.is_active
    assert check.error is None, check.error
    assert len(check.results) == check.total
    assert "InternalError" not in written.getvalue()
    written.getvalue().encode()


def test_transfer_is_done(proxy: FaultProxy, drive: Drive, client: ObjectStoreClient) -> None:
    """Values that no transfer depends on: its object is complete, and proved by what is known."""
    transfer = drive.finish(drive.upload(b"x" * (6 * MIB), part_size=5 * MIB))
    assert transfer.phase == "done", transfer.error
    assert client.head_object(transfer.bucket, transfer.key).size == 6 * MIB


@pytest.mark.parametrize("kind", ["abort", "complete"])
def test_operation_ends(proxy: FaultProxy, drive: Drive, client: ObjectStoreClient, tmp_path: Path, kind: str) -> None:
    """Values that left operations running forever."""
    upload = UploadRef("k", client.create_multipart_upload(drive.bucket, "k"))
    (tmp_path / "part").write_bytes(b"bytes")
    client.upload_part(drive.bucket, "k", upload.upload_id, 1, FileSlice(tmp_path / "part", 0, 5))
    if kind == "abort":
        request_abort(drive.user, drive.store, drive.bucket, [upload])
    else:
        drive.complete(upload)
    drive.work_off()
    item = OperationItem.objects.get()
    assert item.state == ItemState.DONE, item.error


def test_refusal_with_strange_texts_is_recorded(proxy: FaultProxy, drive: Drive) -> None:
    """Messages and ids of errors that databases refuse: the row could not even record its failure."""
    request_abort(drive.user, drive.store, "no-such-bucket", [UploadRef("k", "bm8=")])
    drive.work_off()
    item = OperationItem.objects.get()
    assert item.state in {ItemState.DONE, ItemState.FAILED}
    assert "\0" not in str([item.error, *AuditEntry.objects.values_list("detail", flat=True)])


@pytest.mark.parametrize(
    ("size", "etag", "is_another"),
    [(5, "e", False), (None, "e", False), (5, "", False), (None, "", False), (6, "e", True), (None, "f", True)],
)
def test_unknown_facts_do_not_make_a_part_another_one(size: int | None, etag: str, is_another: bool) -> None:
    """Parts that were sent again, or failed their transfer, because the store does not name their size or ETag."""
    assert differs(Part(number=1, size=5, etag="e"), [ListedPart(1, size, etag, None)]) is is_another
