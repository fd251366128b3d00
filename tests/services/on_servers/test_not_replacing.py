"""Existing objects and lost responses, for transfers and for completions of operators, on every test server.

Partway sends its requests through a proxy that injects faults. The tests read the server directly.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive, staged_names
from tests.services.on_servers.backend import KEY, OTHER_CONTENT, Others
from tests.stores.servers import IN_SUITE
from tests.system import fault_proxy
from tests.system.fault_proxy import CannedResponse, Fault, FaultProxy
from uploads.domain.states import ItemState, Phase
from uploads.models import AuditEntry, Operation, Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason
from uploads.problems import Code, Problem
from uploads.services.transfers.replacing import store_forbids
from uploads.services.transfers.steps import request_retry

pytestmark = pytest.mark.django_db(transaction=True)

MAY_BE_OURS = Problem(Code.OBJECT_MAY_BE_OURS)
FORBIDDING = [name for name in IN_SUITE if name != "ceph"]
"""The servers that can be told not to replace an object at every step; Ceph only supports it for PutObject."""

on_stores_that_forget_uploads = pytest.mark.parametrize(
    "backend", [name for name in IN_SUITE if name != "swift"], indirect=True
)
"""Swift lists the parts of a completed upload, and completes it again."""

on_stores_that_forbid = pytest.mark.parametrize("backend", FORBIDDING, indirect=True)


def check_not_replaced(transfer: Transfer, others: Others) -> None:
    """Failed with the reason; the other program's object is unchanged."""
    assert (transfer.phase, transfer.verified) == (Phase.FAILED, False)
    assert transfer.error_reason == Reason.EXISTS
    assert others.size() == len(OTHER_CONTENT)


def details(transfer: Transfer) -> tuple[Problem, ...]:
    assert transfer.error is not None
    return transfer.error.details


def looks_before(transfer: Transfer) -> list[Fault]:
    """The HEAD before the request that creates the object, where the store itself cannot keep another one."""
    return [] if store_forbids(transfer) else [Fault.NONE]


class TestOperationsWithLostResponse:
    """Completions of an operator: the parts of the upload are compared with what HEAD shows."""

    def test_lost_response_is_found_at_once(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload)
        proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
        drive.work_off()
        self.check_done(operation, others, part_size + 3)
        assert proxy.requests["CompleteMultipartUpload"] == 1

    def test_lost_response_is_found_by_the_next_attempt(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload)
        proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
        proxy.next("HeadObject", Fault.NONE, Fault.ACCESS_DENIED)
        drive.work_off()
        self.check_done(operation, others, part_size + 3)
        assert proxy.requests["HeadObject"] >= 3

    @on_stores_that_forget_uploads
    def test_operation_waits_while_head_fails(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        """The upload is gone, but as long as HEAD fails that does not mean that it was not completed."""
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload)
        proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
        proxy.next("HeadObject", Fault.NONE, *[Fault.INTERNAL_ERROR] * 8)
        drive.work_off()
        self.check_done(operation, others, part_size + 3)
        assert proxy.requests["CompleteMultipartUpload"] == 1
        assert proxy.requests["HeadObject"] > 9

    def test_another_object_of_the_same_size_is_not_the_completed_one(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        others.put(os.urandom(part_size + 3))
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload, replace=True)
        proxy.next("CompleteMultipartUpload", Fault.RESET_BEFORE_BODY)
        drive.work_off()
        self.check_done(operation, others, part_size + 3)
        assert proxy.requests["CompleteMultipartUpload"] == 2

    @on_stores_that_forbid
    def test_completed_object_is_not_reported_as_existing(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload)
        proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
        proxy.next("HeadObject", Fault.NONE, Fault.ACCESS_DENIED)
        drive.work_off()
        self.check_done(operation, others, part_size + 3)

    def check_done(self, operation: Operation, others: Others, size: int) -> None:
        item = operation.items.get()
        assert (item.state, item.error_code, item.outcome.get("verified")) == (ItemState.DONE, "", True)
        assert (item.outcome["size"], others.size()) == (size, size)
        assert others.uploads() == []


class TestOperations:
    def test_object_that_appeared_is_not_replaced(self, drive: Drive, others: Others, part_size: int) -> None:
        """On stores that cannot forbid it as well: Partway looks immediately before the completion."""
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload)
        others.put()
        drive.work_off()
        item = operation.items.get()
        assert item.state == ItemState.FAILED
        assert item.error_reason == Code.OBJECT_NOT_TO_REPLACE
        assert others.size() == len(OTHER_CONTENT)
        assert others.uploads() == [upload.upload_id]
        again = drive.complete(upload, replace=True)
        drive.work_off()
        assert again.items.get().state == ItemState.DONE
        assert others.size() == part_size + 3

    @on_stores_that_forbid
    def test_store_keeps_an_object_that_appears_at_the_last_moment(
        self, drive: Drive, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        upload = others.create_upload(os.urandom(part_size), b"end")
        operation = drive.complete(upload)
        proxy.before("CompleteMultipartUpload", others.put)
        drive.work_off()
        item = operation.items.get()
        assert (item.state, item.error_reason) == (ItemState.FAILED, Code.OBJECT_APPEARED)
        assert item.error is not None
        assert [each.code for each in item.error.details] == [Code.OBJECT_WOULD_BE_LOST]
        assert others.size() == len(OTHER_CONTENT)
        assert others.uploads() == [upload.upload_id]

    @on_stores_that_forbid
    def test_completion_succeeds_after_the_profile_was_reset(self, drive: Drive, others: Others) -> None:
        operation = drive.complete(others.create_upload(b"all"))
        reset_profile(drive.store)
        drive.work_off()
        assert (operation.items.get().state, others.size()) == (ItemState.DONE, 3)


def reset_profile(store: Store) -> None:
    """Do what a reset of the profile, or another provider, does to a store."""
    Store.objects.filter(pk=store.pk).update(overrides={**store.overrides, "forbid_overwrite": ""})


class TestTransfersWithParts:
    @pytest.fixture
    def options(self, part_size: int) -> dict[str, Any]:
        return {"part_size": part_size, "resumable": True, "fingerprint": "this file"}

    @pytest.fixture
    def data(self, part_size: int) -> bytes:
        return os.urandom(2 * part_size + 7)

    @pytest.fixture
    def transfer(self, drive: Drive, data: bytes, options: dict[str, Any]) -> Transfer:
        """All parts are staged, none is in the store, and no object may be replaced."""
        transfer = drive.upload(data, KEY, **options)
        assert transfer.forbid_overwrite
        return transfer

    def test_object_that_appeared_is_not_replaced(self, drive: Drive, transfer: Transfer, others: Others) -> None:
        drive.send(transfer)
        others.put()
        check_not_replaced(drive.finish(transfer), others)
        assert others.uploads() == [transfer.store_uploads.get().upload_id]

    def test_transfer_that_may_replace_is_completed_without_sending_parts_again(
        self,
        drive: Drive,
        user: User,
        proxy: FaultProxy,
        transfer: Transfer,
        others: Others,
        data: bytes,
        options: dict[str, Any],
    ) -> None:
        drive.send(transfer)
        others.put()
        drive.finish(transfer)
        same = drive.start(len(data), KEY, replace=True, **options)
        assert (same.pk, same.forbid_overwrite) == (transfer.pk, False)
        entry = AuditEntry.objects.get(transfer_id=transfer.pk, action="transfer.replace-allowed")
        assert entry.actor_name == user.get_username()
        request_retry(user, same)
        drive.finish(same)
        assert (same.phase, same.error_code, same.verified) == (Phase.DONE, "", True)
        assert (proxy.requests["UploadPart"], others.size()) == (3, len(data))

    def test_permission_to_replace_is_recorded_once_and_stays(
        self, drive: Drive, transfer: Transfer, data: bytes, options: dict[str, Any]
    ) -> None:
        for replace in (True, True, False):
            assert not drive.start(len(data), KEY, replace=replace, **options).forbid_overwrite
        assert AuditEntry.objects.filter(action="transfer.replace-allowed").count() == 1

    def test_retry_succeeds_once_the_object_is_gone(
        self, drive: Drive, user: User, truth: ObjectStoreClient, transfer: Transfer, others: Others, data: bytes
    ) -> None:
        drive.send(transfer)
        others.put()
        drive.finish(transfer)
        request_retry(user, transfer)
        check_not_replaced(drive.finish(transfer), others)
        truth.delete_object(drive.bucket, KEY)
        request_retry(user, transfer)
        drive.finish(transfer)
        assert (transfer.phase, transfer.verified, others.size()) == (Phase.DONE, True, len(data))

    def test_completion_with_lost_response_is_found_at_once(
        self, drive: Drive, proxy: FaultProxy, transfer: Transfer, others: Others, data: bytes
    ) -> None:
        proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
        drive.finish(transfer)
        assert (transfer.phase, transfer.verified, others.size()) == (Phase.DONE, True, len(data))
        assert proxy.requests["CompleteMultipartUpload"] == 1

    def test_completion_with_lost_response_is_found_by_the_next_attempt(
        self, drive: Drive, proxy: FaultProxy, transfer: Transfer, others: Others, data: bytes
    ) -> None:
        proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
        proxy.next("HeadObject", *looks_before(transfer), Fault.ACCESS_DENIED)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code, transfer.verified) == (Phase.DONE, "", True)
        assert (proxy.requests["CompleteMultipartUpload"], others.size()) == (2, len(data))

    def test_conflict_of_concurrent_writes_is_retried(
        self,
        drive: Drive,
        proxy: FaultProxy,
        transfer: Transfer,
        others: Others,
        data: bytes,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(fault_proxy.CANNED, Fault.BAD_GATEWAY, CannedResponse(409, "ConditionalRequestConflict"))
        proxy.next("CompleteMultipartUpload", Fault.BAD_GATEWAY)
        drive.finish(transfer, rounds=1)
        assert (transfer.phase, transfer.error_code) == (Phase.COMPLETING, "ConditionalRequestConflict")
        drive.finish(transfer)
        assert (transfer.phase, transfer.verified, others.size()) == (Phase.DONE, True, len(data))

    def test_transfer_succeeds_after_the_profile_was_reset(
        self, drive: Drive, transfer: Transfer, others: Others, data: bytes
    ) -> None:
        reset_profile(drive.store)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code, others.size()) == (Phase.DONE, "", len(data))


@pytest.mark.parametrize("backend", ["oss"], indirect=True)
def test_oss_refuses_to_create_an_upload_if_an_object_exists(
    drive: Drive, user: User, proxy: FaultProxy, others: Others, part_size: int
) -> None:
    transfer = drive.upload(os.urandom(2 * part_size), KEY, part_size=part_size)
    others.put()
    check_not_replaced(drive.finish(transfer), others)
    assert (transfer.error_code, transfer.create_sent_at) == ("FileAlreadyExists", None)
    assert (proxy.requests["UploadPart"], others.uploads()) == (0, [])
    assert len(staged_names(transfer)) == 2


class TestTransfersByPutObject:
    def test_object_that_appeared_is_not_replaced(self, drive: Drive, user: User, others: Others) -> None:
        options = {"resumable": True, "fingerprint": "this file"}
        transfer = drive.upload(b"ours", KEY, **options)
        others.put()
        check_not_replaced(drive.finish(transfer), others)
        assert MAY_BE_OURS not in details(transfer)
        assert len(staged_names(transfer)) == 1
        request_retry(user, drive.start(4, KEY, replace=True, **options))
        drive.finish(transfer)
        assert (transfer.phase, transfer.verified, others.size()) == (Phase.DONE, True, 4)

    @pytest.mark.parametrize("content", [b"ours", b""], ids=["bytes", "nothing"])
    def test_own_object_after_lost_response_is_recognized(
        self, drive: Drive, proxy: FaultProxy, others: Others, content: bytes
    ) -> None:
        """The response was lost and HEAD failed; the second request meets the object of the first one."""
        transfer = drive.upload(content, KEY)
        proxy.next("PutObject", Fault.RESPONSE_LOST)
        proxy.next("HeadObject", *looks_before(transfer), Fault.ACCESS_DENIED)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code, transfer.verified) == (Phase.DONE, "", True)
        assert (proxy.requests["PutObject"], others.size()) == (2, len(content))

    def test_conflict_of_concurrent_writes_is_retried(
        self, drive: Drive, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(fault_proxy.CANNED, Fault.BAD_GATEWAY, CannedResponse(409, "ConditionalRequestConflict"))
        transfer = drive.upload(b"ours", KEY)
        proxy.next("PutObject", Fault.BAD_GATEWAY)
        drive.finish(transfer)
        assert (transfer.phase, proxy.requests["PutObject"]) == (Phase.DONE, 2)

    def test_transfer_succeeds_after_the_profile_was_reset(self, drive: Drive, others: Others) -> None:
        transfer = drive.upload(b"ours", KEY)
        reset_profile(drive.store)
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code, others.size()) == (Phase.DONE, "", 4)


@on_stores_that_forbid
class TestWithoutPermissionForHead:
    @pytest.fixture(autouse=True)
    def no_head(self, proxy: FaultProxy) -> None:
        proxy.always("HeadObject", Fault.ACCESS_DENIED)

    def test_bytes_stay_staged_after_lost_response(self, drive: Drive, proxy: FaultProxy, others: Others) -> None:
        """The object is the transfer's own, but without HEAD that is not known: it fails and its bytes stay staged."""
        transfer = drive.upload(b"ours", KEY)
        proxy.next("PutObject", Fault.RESPONSE_LOST)
        drive.finish(transfer)
        assert (transfer.phase, others.size()) == (Phase.FAILED, 4)
        assert MAY_BE_OURS in details(transfer)
        assert len(staged_names(transfer)) == 1

    def test_error_tells_that_the_object_may_be_the_transfers_own(self, drive: Drive, others: Others) -> None:
        others.put()
        transfer = drive.upload(b"ours", KEY)
        check_not_replaced(drive.finish(transfer), others)
        assert MAY_BE_OURS in details(transfer)
        assert len(staged_names(transfer)) == 1

    def test_error_of_a_completion_tells_it_too(
        self, drive: Drive, proxy: FaultProxy, others: Others, part_size: int
    ) -> None:
        transfer = drive.upload(os.urandom(part_size + 1), KEY, part_size=part_size)
        drive.send(transfer)
        others.put()
        check_not_replaced(drive.finish(transfer), others)
        assert MAY_BE_OURS in details(transfer)
