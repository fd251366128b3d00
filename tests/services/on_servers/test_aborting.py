"""An abort that the store accepted is done, whatever the store responds to the check after it.

The whole kind of fault: a failure that is none. The abort took effect, a later request failed, and the operation or the
cancelled transfer was shown as failed. And the opposite: the page claims that an upload was aborted or has ended, where
only "there is no such upload" is known.
"""

from __future__ import annotations

import os

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.dashboard.pages import Page
from tests.services.drive import Drive
from tests.services.on_servers.backend import Others
from tests.system.fault_proxy import PAGE, CannedResponse, Fault, FaultProxy
from uploads.domain.states import DesiredState, ItemState, Phase, StoreUploadState
from uploads.models import Operation, OperationItem, Transfer
from uploads.objectstore.types import UploadRef
from uploads.problems import Code
from uploads.services.operations.order import request_abort
from uploads.services.transfers.steps import request_cancel

pytestmark = pytest.mark.django_db(transaction=True)

CHECK_FAULTS = {
    "AccessDenied": CannedResponse(403, "AccessDenied"),
    "AuthorizationHeaderMalformed": CannedResponse(400, "AuthorizationHeaderMalformed"),
    "NoSuchBucket": CannedResponse(404, "NoSuchBucket"),
    "UnreadableResponse": CannedResponse(200, page=PAGE),
}
"""What ListParts responds after an abort, by the code that is shown."""


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploads.services.multipart.abort.PAUSE_SECONDS", 0)


def run(drive: Drive, user: User, upload: UploadRef) -> OperationItem:
    operation = request_abort(user, drive.store, drive.bucket, [upload])
    drive.work_off()
    return operation.items.get()


class TestCheckFails:
    @pytest.mark.parametrize("code", CHECK_FAULTS)
    def test_abort_is_done_but_not_verified(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, browser: Client, code: str
    ) -> None:
        upload = others.create_upload(b"part")
        proxy.answer("ListParts", CHECK_FAULTS[code])
        item = run(drive, user, upload)
        assert (item.state, item.error_code, others.uploads()) == (ItemState.DONE, "", [])
        assert item.outcome_error is not None
        assert item.outcome_error.code == code
        page = Page(browser.get(f"/operations/{item.operation_id}/"))
        assert "Aborted, not verified" in page.words
        assert code in page.words
        shown = browser.get(f"/operations/{item.operation_id}/", HTTP_ACCEPT="application/json").json()
        assert shown["Uploads"][0]["outcome"]["not_verified"]["code"] == code
        assert proxy.requests["AbortMultipartUpload"] <= 3

    def test_abort_that_was_not_verified_can_be_requested_again(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, browser: Client
    ) -> None:
        upload = others.create_upload(b"part")
        proxy.answer("ListParts", CHECK_FAULTS["AccessDenied"])
        first = run(drive, user, upload)
        proxy.clear()
        named = {"key": upload.key, "upload-id": upload.upload_id}
        page = Page(browser.get(f"/stores/{drive.store.name}/{drive.bucket}/uploads/detail/", named))
        assert (page.status, "No such upload" in page.words) == (404, True)
        again = run(drive, user, upload)
        assert again.operation_id != first.operation_id
        assert (again.state, again.outcome_error) == (ItemState.DONE, None)

    @pytest.mark.parametrize("backend", ["versity"], indirect=True)
    def test_store_that_accepts_every_abort_and_never_lists(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others
    ) -> None:
        """After a few attempts it is not verified, instead of failed."""
        upload = others.create_upload(b"part")
        proxy.answer("AbortMultipartUpload", CannedResponse(204))
        proxy.answer("ListParts", CannedResponse(500, "InternalError"))
        item = run(drive, user, upload)
        assert item.state == ItemState.DONE
        assert item.outcome_error is not None
        assert (item.outcome_error.code, item.outcome["repeats"]) == ("InternalError", 3)

    def test_check_that_works_again_verifies_the_abort(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others
    ) -> None:
        """A temporary fault is repeated, and the abort with it."""
        upload = others.create_upload(b"part")
        proxy.next("ListParts", *[Fault.INTERNAL_ERROR] * 8)
        item = run(drive, user, upload)
        assert (item.state, item.outcome_error) == (ItemState.DONE, None)

    def test_cancelled_transfer_says_so(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, browser: Client, part_size: int
    ) -> None:
        transfer = drive.upload(os.urandom(2 * part_size), part_size=part_size)
        drive.send(transfer, parts=1)
        request_cancel(user, transfer)
        proxy.answer("ListParts", CHECK_FAULTS["AccessDenied"])
        transfer.refresh_from_db()
        assert transfer.desired_state == DesiredState.CANCEL
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_reason) == (Phase.CANCELLED, Code.ABORT_NOT_VERIFIED)
        assert transfer.store_uploads.get().state == StoreUploadState.GONE
        assert others.uploads() == []
        page = Page(browser.get(f"/transfers/{transfer.pk}/"))
        assert "aborted, not verified" in page.words
        assert "AccessDenied" in page.words

    def test_cancelled_transfer_says_that_the_bucket_does_not_exist(
        self, drive: Drive, user: User, proxy: FaultProxy, browser: Client, part_size: int
    ) -> None:
        """A response to an abort that is no success: its page and JSON said that the upload had been aborted."""
        transfer = drive.upload(os.urandom(2 * part_size), part_size=part_size)
        drive.send(transfer, parts=1)
        request_cancel(user, transfer)
        proxy.answer("AbortMultipartUpload", CannedResponse(404, "NoSuchBucket"))
        transfer.refresh_from_db()
        drive.finish(transfer)
        assert (transfer.phase, transfer.error_code) == (Phase.CANCELLED, "NoSuchBucket")
        page = Page(browser.get(f"/transfers/{transfer.pk}/"))
        assert "The upload in the store was not aborted" in page.words
        assert "the bucket does not exist, so nothing of the upload is left there" in page.words
        assert "the upload in the store is aborted" not in page.words
        shown = browser.get(f"/transfers/{transfer.pk}/", HTTP_ACCEPT="application/json").json()
        assert shown["error"]["code"] == "NoSuchBucket"


class TestAbort:
    def test_lost_response_is_no_failure(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, browser: Client
    ) -> None:
        """An abort that the client repeats: the response to the repetition is about the first attempt's effect. The
        page said that the store has no such upload, or that its id is wrong.
        """
        upload = others.create_upload(b"part")
        proxy.next("AbortMultipartUpload", Fault.RESPONSE_LOST)
        item = run(drive, user, upload)
        assert (item.state, item.error_code, others.uploads()) == (ItemState.DONE, "", [])
        assert item.outcome["already_gone"] is False
        page = Page(browser.get(f"/operations/{item.operation_id}/"))
        assert "The store lists no more parts of it" in page.words
        assert "no such upload" not in page.words

    def test_attempt_that_certainly_did_not_act_removed_nothing(
        self, drive: Drive, user: User, proxy: FaultProxy
    ) -> None:
        """A refused attempt before the response that there is no such upload."""
        proxy.next("AbortMultipartUpload", Fault.TOO_MANY_REQUESTS)
        item = run(drive, user, UploadRef("a/key", "nonsense"))
        assert (item.state, item.outcome["already_gone"]) == (ItemState.DONE, True)

    def test_missing_bucket_leaves_nothing(
        self, drive: Drive, user: User, proxy: FaultProxy, others: Others, browser: Client
    ) -> None:
        upload = others.create_upload(b"part")
        proxy.answer("AbortMultipartUpload", CannedResponse(404, "NoSuchBucket"))
        item = run(drive, user, upload)
        assert item.state == ItemState.DONE
        page = Page(browser.get(f"/operations/{item.operation_id}/"))
        assert "the bucket does not exist, so nothing of this upload is left there" in page.words
        assert "NoSuchBucket" in page.words

    def test_refused_abort_has_failed(self, drive: Drive, user: User, proxy: FaultProxy, others: Others) -> None:
        upload = others.create_upload(b"part")
        proxy.answer("AbortMultipartUpload", CannedResponse(403, "AccessDenied"))
        item = run(drive, user, upload)
        assert (item.state, item.error_code) == (ItemState.FAILED, "AccessDenied")
        assert others.uploads() == [upload.upload_id]


class TestUnknownUploads:
    """Nothing is claimed about an upload that the store does not know: its key or its id may be wrong."""

    @pytest.mark.parametrize("backend", ["swift", "oss", "versity"], indirect=True)
    @pytest.mark.parametrize("page", ["detail", "abort", "complete"])
    def test_pages_say_that_there_is_no_such_upload(self, drive: Drive, browser: Client, page: str) -> None:
        url = f"/stores/{drive.store.name}/{drive.bucket}/uploads/{page}/"
        named = {"key": "a/key", "upload-id": "nonsense"}
        shown = Page(browser.get(url, named))
        assert shown.status == 404
        assert "No such upload" in shown.words
        assert "or the key or the upload id is wrong" in shown.words
        assert "Already completed or aborted" not in shown.words
        error = browser.get(url, named, HTTP_ACCEPT="application/json").json()["error"]
        assert "wrong" in error["message"]

    @pytest.mark.parametrize("backend", ["swift", "oss", "versity"], indirect=True)
    def test_abort_says_that_there_was_no_such_upload(self, drive: Drive, user: User, browser: Client) -> None:
        upload = UploadRef("a/key", "nonsense")
        item = run(drive, user, upload)
        assert (item.state, item.outcome["already_gone"]) == (ItemState.DONE, True)
        page = Page(browser.get(f"/operations/{item.operation_id}/"))
        assert "The store has no such upload" in page.words
        url = f"/stores/{drive.store.name}/{drive.bucket}/uploads/detail/"
        detail = Page(browser.get(url, {"key": upload.key, "upload-id": upload.upload_id}))
        assert "The store had no such upload when" in detail.words
        assert "Already completed or aborted" not in detail.words


class TestListPartsIsBroken:
    """A page that needs no parts is shown without them, and says what is not known."""

    @pytest.mark.parametrize("code", CHECK_FAULTS)
    def test_pages_of_an_upload_are_shown(
        self, drive: Drive, proxy: FaultProxy, others: Others, browser: Client, code: str
    ) -> None:
        upload = others.create_upload(b"part")
        proxy.answer("ListParts", CHECK_FAULTS[code])
        base = f"/stores/{drive.store.name}/{drive.bucket}/uploads"
        named = {"key": upload.key, "upload-id": upload.upload_id}
        page = Page(browser.get(f"{base}/abort/", named))
        assert page.status == 200
        assert "Not known, because the parts cannot be listed" in page.words
        shown = "The store's response cannot be read" if code == "UnreadableResponse" else code
        assert shown in page.words
        assert not page.find("button", "btn-danger")[0].has("disabled")
        detail = Page(browser.get(f"{base}/detail/", named))
        assert shown in detail.words
        assert detail.find("a", "btn-outline-danger")
        proxy.clear()
        browser.post(f"{base}/abort/", named)
        drive.work_off()
        assert (OperationItem.objects.get().state, others.uploads()) == (ItemState.DONE, [])
        assert Operation.objects.count() == 1
        assert not Transfer.objects.exists()
