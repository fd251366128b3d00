"""Completions and aborts of operators whose responses are lost or unusable, also on a store whose ETags prove nothing.

After a loss, the proxy hides the upload as other stores do; Swift would list the parts of a completed upload.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.drive import MIB, Drive
from tests.services.transfers.unknown_outcomes.outcomes import Truth
from tests.stores.any_store import KIND, add
from tests.stores.running import RunningStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.proofs import Proof
from uploads.domain.states import ItemState, OperationKind
from uploads.models import AuditEntry, OperationItem, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, FileSlice, StoreConfig, UploadRef
from uploads.problems import Code
from uploads.services.browse.preflight import preflight_complete
from uploads.services.operations.order import request_abort
from uploads.services.operations.run import run_item
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import leases
from uploads.services.work.attempts import MAX_ATTEMPTS

KEY = "foreign/key"
PART = 5 * MIB
UNUSABLE = (
    Fault.REDIRECT,
    Fault.NOT_FOUND_PAGE,
    Fault.NOT_FOUND_EMPTY,
    Fault.BAD_REQUEST_PAGE,
    Fault.WITHOUT_LENGTH,
    Fault.NO_SUCH_BUCKET,
)


@pytest.fixture
def proxy(any_store: RunningStore) -> Iterator[FaultProxy]:
    with FaultProxy(any_store.endpoint_url) as running:
        yield running


@pytest.fixture
def store(transactional_db: None, any_store: RunningStore, proxy: FaultProxy) -> Store:
    """A store whose ETags are not trusted."""
    store = add(any_store, endpoint_url=proxy.url)
    overrides = {"etag_is_md5": False, "joined_etag": False, "keeps_ended": False}
    Store.objects.filter(pk=store.pk).update(overrides=overrides)
    return Store.objects.get(pk=store.pk)


@pytest.fixture
def truth(any_store: RunningStore, bucket: str) -> Truth:
    credentials = Credentials(any_store.access_key, any_store.secret_key)
    config = StoreConfig(any_store.endpoint_url, any_store.region, credentials, provider=KIND.provider)
    return Truth(ObjectStoreClient(config), bucket)


@pytest.fixture
def upload(truth: Truth, tmp_path: Path) -> UploadRef:
    """An upload of another program, of two parts."""
    (tmp_path / "part").write_bytes(os.urandom(PART))
    upload_id = truth.create_upload(KEY)
    for number, size in ((1, PART), (2, 7)):
        truth.client.upload_part(truth.bucket, KEY, upload_id, number, FileSlice(tmp_path / "part", 0, size))
    return UploadRef(KEY, upload_id)


def run(item: OperationItem, times: int = 1) -> OperationItem:
    for _ in range(times):
        OperationItem.objects.filter(pk=item.pk).update(not_before=None)
        run_item(item.pk)
    item.refresh_from_db()
    return item


def lose_complete(proxy: FaultProxy, item: OperationItem, fault: Fault = Fault.RESPONSE_LOST) -> OperationItem:
    """Complete the upload and lose the response. HEAD works before the completion, and is unusable after it."""
    proxy.next("CompleteMultipartUpload", fault)
    proxy.next("HeadObject", None, Fault.NOT_FOUND_PAGE)
    run(item)
    proxy.always("ListParts", Fault.NO_SUCH_UPLOAD)
    proxy.always("CompleteMultipartUpload", Fault.NO_SUCH_UPLOAD)
    return item


def unverified(item: OperationItem) -> str:
    assert item.outcome_error is not None
    return item.outcome_error.reason


def put_other(truth: Truth, folder: Path, size: int) -> None:
    (folder / "other").write_bytes(os.urandom(size))
    truth.client.put_object(truth.bucket, KEY, FileSlice(folder / "other", 0, size))


@pytest.mark.parametrize(
    "fault", [Fault.RESPONSE_LOST, Fault.REDIRECT_AFTER, Fault.PAGE_AFTER, Fault.UNAVAILABLE_AFTER]
)
def test_lost_completion_is_proved_by_size_and_date(
    drive: Drive, proxy: FaultProxy, upload: UploadRef, fault: Fault
) -> None:
    """Any response that is lost or unusable, on a store whose ETags prove nothing: an object of the right size that
    was not there before the request is the completed one.
    """
    item = lose_complete(proxy, drive.complete(upload).items.get(), fault)
    assert item.state == ItemState.ORDERED
    item = run(item)
    assert (item.state, item.outcome["verified"], item.error) == (ItemState.DONE, True, None)
    assert item.outcome["proofs"] == [Proof.SIZE, Proof.DATE]


def test_lost_completion_that_replaced_an_object_of_the_same_size_is_proved(
    drive: Drive, proxy: FaultProxy, truth: Truth, upload: UploadRef, tmp_path: Path
) -> None:
    put_other(truth, tmp_path, PART + 7)
    item = lose_complete(proxy, drive.complete(upload, replace=True).items.get())
    item = run(item)
    assert (item.state, item.outcome["proofs"]) == (ItemState.DONE, [Proof.SIZE, Proof.DATE])


@pytest.mark.parametrize("size", [PART + 7, 10], ids=["same-size", "other-size"])
def test_object_from_before_the_request_is_not_taken_for_the_completed_one(
    drive: Drive, proxy: FaultProxy, truth: Truth, upload: UploadRef, tmp_path: Path, size: int
) -> None:
    """Nothing proves the completion and nothing disproves it: the outcome is unknown, and never failed."""
    put_other(truth, tmp_path, size)
    item = drive.complete(upload, replace=True).items.get()
    proxy.next("CompleteMultipartUpload", Fault.RESET_BEFORE_BODY)
    run(item)
    proxy.always("ListParts", Fault.NO_SUCH_UPLOAD)
    item = run(item, MAX_ATTEMPTS)
    assert item.state == ItemState.UNKNOWN
    assert (item.outcome["head_showed"]["size"], item.outcome["expected_size"]) == (size, PART + 7)
    assert item.error is not None
    assert Code.COMPLETION_UNKNOWN in {each.code for each in item.error.details}
    assert item.active_key is None
    assert AuditEntry.objects.filter(action="complete.unknown").exists()


def test_completion_without_an_object_is_unknown(
    drive: Drive, proxy: FaultProxy, truth: Truth, upload: UploadRef
) -> None:
    """The response was lost twice, and someone has deleted the object since."""
    item = lose_complete(proxy, drive.complete(upload).items.get())
    truth.client.delete_object(truth.bucket, KEY)
    item = run(item, MAX_ATTEMPTS)
    assert (item.state, item.outcome["head_showed"], item.error_code) == (ItemState.UNKNOWN, {}, "NoSuchUpload")


def test_upload_that_is_gone_before_the_request_fails(drive: Drive, proxy: FaultProxy, upload: UploadRef) -> None:
    """No request was sent that could have had an effect."""
    item = drive.complete(upload).items.get()
    proxy.next("CompleteMultipartUpload", Fault.NO_SUCH_UPLOAD)
    item = run(item)
    assert (item.state, item.error_code) == (ItemState.FAILED, "NoSuchUpload")
    assert "ordered_at" not in item.outcome


def test_completion_that_did_not_happen_is_sent_again(drive: Drive, proxy: FaultProxy, upload: UploadRef) -> None:
    item = drive.complete(upload).items.get()
    proxy.next("CompleteMultipartUpload", Fault.RESET_BEFORE_BODY, Fault.INTERNAL_ERROR)
    item = run(item, 3)
    assert (item.state, item.outcome["verified"]) == (ItemState.DONE, True)
    assert proxy.requests["CompleteMultipartUpload"] == 3


@pytest.mark.parametrize("fault", [*UNUSABLE, Fault.NO_SUCH_KEY, Fault.INTERNAL_ERROR])
def test_completion_is_verified_after_an_unusual_response_to_head(
    drive: Drive, proxy: FaultProxy, upload: UploadRef, fault: Fault
) -> None:
    """Any response to HEAD but the object's facts, after the store has confirmed the completion."""
    item = drive.complete(upload).items.get()
    proxy.next("HeadObject", None, *[fault] * 4)
    proxy.next("ListMultipartUploads", fault)
    item = run(item)
    assert item.state == ItemState.ORDERED
    assert "completed_at" in item.outcome
    proxy.clear()
    item = run(item)
    assert (item.state, item.outcome["verified"], item.error) == (ItemState.DONE, True, None)
    assert proxy.requests["CompleteMultipartUpload"] == 1


@pytest.mark.parametrize("fault", [*UNUSABLE, Fault.NO_SUCH_KEY])
def test_completion_without_a_usable_response_to_head_is_done_unverified(
    drive: Drive, proxy: FaultProxy, upload: UploadRef, fault: Fault
) -> None:
    item = drive.complete(upload).items.get()
    proxy.next("HeadObject", None)
    proxy.always("HeadObject", fault)
    proxy.always("ListMultipartUploads", fault)
    item = run(item, MAX_ATTEMPTS)
    assert (item.state, item.outcome["verified"], item.error) == (ItemState.DONE, False, None)
    assert unverified(item)
    assert proxy.requests["CompleteMultipartUpload"] == 1


def test_completed_item_whose_workers_die_is_done_unverified(
    drive: Drive, proxy: FaultProxy, upload: UploadRef
) -> None:
    item = drive.complete(upload).items.get()
    proxy.next("HeadObject", None, Fault.REDIRECT)
    run(item)
    kill_workers(item)
    assert (item.state, unverified(item)) == (ItemState.DONE, Code.WORKER_LOST)


@pytest.mark.parametrize("kind", OperationKind)
def test_work_whose_workers_die_has_an_unknown_outcome(
    drive: Drive, proxy: FaultProxy, upload: UploadRef, kind: OperationKind
) -> None:
    if kind is OperationKind.COMPLETE:
        item = drive.complete(upload).items.get()
        proxy.next("CompleteMultipartUpload", Fault.RESET_BEFORE_BODY)
        run(item)
    else:
        item = request_abort(drive.user, drive.store, drive.bucket, [upload]).items.get()
    kill_workers(item)
    assert (item.state, item.error_code) == (ItemState.UNKNOWN, Code.WORKER_LOST)


def kill_workers(item: OperationItem) -> None:
    from uploads.services.operations.kinds import ITEMS

    for _ in range(MAX_ATTEMPTS):
        OperationItem.objects.filter(pk=item.pk).update(not_before=None)
        leases.take(ITEMS, OperationItem.objects.all(), item.pk)
        OperationItem.objects.filter(pk=item.pk).update(lease_until=leases.in_seconds(-1))
        watch()
    item.refresh_from_db()


@pytest.mark.parametrize("fault", [Fault.REDIRECT_AFTER, Fault.PAGE_AFTER, Fault.RESPONSE_LOST])
def test_lost_abort_is_done_by_the_next_attempt(
    drive: Drive, proxy: FaultProxy, truth: Truth, upload: UploadRef, fault: Fault
) -> None:
    item = request_abort(drive.user, drive.store, drive.bucket, [upload]).items.get()
    proxy.next("AbortMultipartUpload", fault)
    item = run(item, 2)
    assert (item.state, truth.uploads()) == (ItemState.DONE, [])


@pytest.mark.parametrize("fault", [Fault.REDIRECT_AFTER, Fault.BAD_REQUEST_PAGE, Fault.NOT_FOUND_EMPTY])
def test_abort_without_a_usable_response_is_unknown(
    drive: Drive, proxy: FaultProxy, upload: UploadRef, fault: Fault
) -> None:
    """Whatever a proxy sends in place of the store's response, an empty 404 too: it does not prove that the upload is
    gone.
    """
    item = request_abort(drive.user, drive.store, drive.bucket, [upload]).items.get()
    proxy.always("AbortMultipartUpload", fault)
    item = run(item, MAX_ATTEMPTS)
    assert item.state == ItemState.UNKNOWN
    assert AuditEntry.objects.filter(action="abort.unknown").exists()


def test_refused_abort_fails(drive: Drive, proxy: FaultProxy, upload: UploadRef) -> None:
    item = request_abort(drive.user, drive.store, drive.bucket, [upload]).items.get()
    proxy.always("AbortMultipartUpload", Fault.ACCESS_DENIED)
    item = run(item)
    assert (item.state, item.error_code) == (ItemState.FAILED, "AccessDenied")


def test_expected_etag_is_not_computed_from_etags_that_are_no_md5s(
    drive: Drive, store: Store, upload: UploadRef
) -> None:
    """ETags that prove nothing were used all the same: the preflight showed an ETag computed from them, and the
    completion of a store whose objects have another one was done, unverified.
    """
    Store.objects.filter(pk=store.pk).update(overrides={"etag_is_md5": False, "joined_etag": True})
    drive.store.refresh_from_db()
    assert preflight_complete(drive.store, drive.bucket, upload).expected_etag == ""
    item = run(drive.complete(upload).items.get())
    assert (item.state, item.outcome["expected_etag"], item.outcome["verified"]) == (ItemState.DONE, "", True)
    assert Proof.ETAG not in item.outcome["proofs"]
