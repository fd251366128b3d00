"""A transfer replaces only the object that its operator saw, on every test server."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive, staged_names
from tests.services.on_servers.backend import KEY, OTHER_CONTENT, Others
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.replacement import ANYTHING, NOTHING, Replacement, SeenObject
from uploads.domain.states import Phase
from uploads.models import AuditEntry, Store, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code
from uploads.services.transfers.start import TransferRefused, allow_replacing
from uploads.services.transfers.steps import request_retry

pytestmark = pytest.mark.django_db(transaction=True)

SEEN, WRITTEN_SINCE = b"seen", b"written since by another program"
IDENTITY = {"resumable": True, "fingerprint": "this file"}


@pytest.fixture(params=["PutObject", "CompleteMultipartUpload"])
def request_name(request: pytest.FixtureRequest) -> str:
    """The request that creates the object."""
    return str(request.param)


@pytest.fixture
def plan(request_name: str, part_size: int) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a file and the options with which it is sent by this request."""
    if request_name == "PutObject":
        return b"ours", IDENTITY
    return os.urandom(part_size + 7), IDENTITY | {"part_size": part_size}


def seen_object(others: Others) -> Replacement:
    return Replacement(SeenObject.of(others.truth.head_object(others.bucket, KEY)))


def check_kept(transfer: Transfer, others: Others, content: bytes, detail: Code) -> None:
    """Failed with the object that is there now; it is unchanged, and nothing of the transfer is lost."""
    assert (transfer.phase, transfer.error_reason) == (Phase.FAILED, Reason.EXISTS)
    assert transfer.error is not None
    assert [each.code for each in transfer.error.details] == [detail]
    assert transfer.error.details[0].params["size_bytes"] == len(content)
    assert others.size() == len(content)
    assert staged_names(transfer) or others.uploads() == [transfer.store_uploads.get().upload_id]


def test_another_object_than_the_one_seen_is_kept(
    drive: Drive, user: User, others: Others, plan: tuple[bytes, dict[str, Any]]
) -> None:
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, replacement=seen_object(others), **options)
    others.put(WRITTEN_SINCE)
    check_kept(drive.finish(transfer), others, WRITTEN_SINCE, Code.OBJECT_REPLACED_MEANWHILE)
    allow_replacing(user, transfer)
    request_retry(user, transfer)
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified, others.size()) == (Phase.DONE, True, len(data))


def test_object_that_was_seen_is_replaced(
    drive: Drive, others: Others, plan: tuple[bytes, dict[str, Any]], proxy: FaultProxy
) -> None:
    """One HEAD at the start, one immediately before the request, and one after it."""
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, replacement=seen_object(others), **options)
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified, others.size()) == (Phase.DONE, True, len(data))
    assert proxy.requests["HeadObject"] == 3


def test_without_an_etag_the_object_at_the_start_is_the_one_that_may_be_replaced(
    drive: Drive, others: Others, plan: tuple[bytes, dict[str, Any]]
) -> None:
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, **options)
    others.put(WRITTEN_SINCE)
    check_kept(drive.finish(transfer), others, WRITTEN_SINCE, Code.OBJECT_REPLACED_MEANWHILE)


def test_object_that_appears_is_kept_if_there_was_none_to_replace(
    drive: Drive, others: Others, plan: tuple[bytes, dict[str, Any]]
) -> None:
    data, options = plan
    transfer = drive.upload(data, KEY, replace=True, **options)
    others.put(WRITTEN_SINCE)
    check_kept(drive.finish(transfer), others, WRITTEN_SINCE, Code.OBJECT_WOULD_BE_LOST)


def test_object_that_disappeared_is_no_reason_to_refuse(
    drive: Drive, others: Others, plan: tuple[bytes, dict[str, Any]]
) -> None:
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, **options)
    others.truth.delete_object(drive.bucket, KEY)
    drive.finish(transfer)
    assert (transfer.phase, others.size()) == (Phase.DONE, len(data))


def test_any_object_is_replaced_if_that_was_allowed(
    drive: Drive, others: Others, plan: tuple[bytes, dict[str, Any]], proxy: FaultProxy
) -> None:
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, replacement=ANYTHING, **options)
    others.put(WRITTEN_SINCE)
    drive.finish(transfer)
    assert (transfer.phase, others.size()) == (Phase.DONE, len(data))
    assert proxy.requests["HeadObject"] == 1


@pytest.mark.parametrize("backend", ["versity"], indirect=True)
def test_object_that_was_replaced_before_the_start_is_named(drive: Drive, others: Others) -> None:
    others.put(SEEN)
    replacement = seen_object(others)
    others.put(WRITTEN_SINCE)
    with pytest.raises(TransferRefused) as refused:
        drive.start(4, KEY, replace=True, replacement=replacement)
    assert (refused.value.status, refused.value.field) == (409, "replace")
    assert refused.value.problem.code == Code.OBJECT_REPLACED_MEANWHILE
    assert not Transfer.objects.exists()


@pytest.mark.parametrize("backend", ["ceph", "versity"], indirect=True)
def test_unusual_response_to_head_does_not_end_a_transfer(
    drive: Drive, others: Others, plan: tuple[bytes, dict[str, Any]], proxy: FaultProxy
) -> None:
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, **options)
    proxy.next("HeadObject", Fault.NO_SUCH_BUCKET)
    drive.finish(transfer, rounds=1)
    assert transfer.phase in (Phase.SENDING, Phase.COMPLETING)
    assert others.size() == len(SEEN)
    drive.finish(transfer)
    assert (transfer.phase, others.size()) == (Phase.DONE, len(data))


@pytest.mark.parametrize("backend", ["versity", "seaweedfs"], indirect=True)
def test_store_that_compares_etags_keeps_an_object_written_at_the_last_moment(
    drive: Drive,
    store: Store,
    others: Others,
    plan: tuple[bytes, dict[str, Any]],
    request_name: str,
    proxy: FaultProxy,
) -> None:
    Store.objects.filter(pk=store.pk).update(overrides={**store.overrides, "if_match": True})
    data, options = plan
    others.put(SEEN)
    transfer = drive.upload(data, KEY, replace=True, **options)
    proxy.before(request_name, lambda: others.put(WRITTEN_SINCE))
    check_kept(drive.finish(transfer), others, WRITTEN_SINCE, Code.OBJECT_REPLACED_MEANWHILE)


@pytest.mark.parametrize("backend", ["versity"], indirect=True)
def test_leave_to_replace_is_audited_with_the_object(drive: Drive, others: Others) -> None:
    transfer = drive.start(4, KEY, **IDENTITY)
    assert transfer.replacement == NOTHING
    others.put()
    for _ in range(2):
        assert drive.start(4, KEY, replace=True, **IDENTITY).replacement == seen_object(others)
    entry = AuditEntry.objects.get(action="transfer.replace-allowed")
    assert (entry.detail["size"], transfer.pk) == (len(OTHER_CONTENT), entry.transfer_id)
