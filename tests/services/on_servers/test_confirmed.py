"""A completion does what its confirmation showed, or nothing.

The whole kind of fault: an operator confirms what a page or a JSON response shows, the upload or the object at its key
changes, and the completion destroys bytes that nobody has seen, or creates an object that nobody has confirmed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from dashboard.shared.messages import error_json
from tests.dashboard.pages import Page
from tests.services.drive import Drive
from tests.services.on_servers.backend import KEY, OTHER_CONTENT, Others
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import ItemState
from uploads.models import Operation, OperationItem, Store
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import provider_of

pytestmark = pytest.mark.django_db(transaction=True)

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Completing:
    """The page of a completion, its JSON, and its form."""

    browser: Client
    url: str
    drive: Drive

    def named(self, upload: UploadRef) -> dict[str, str]:
        return {"key": upload.key, "upload-id": upload.upload_id}

    def page(self, upload: UploadRef) -> Page:
        page = Page(self.browser.get(self.url, self.named(upload)))
        assert page.status == 200
        return page

    def form(self, upload: UploadRef) -> dict[str, str]:
        """What the browser would send: every field of the form, with its boxes ticked."""
        return self.page(upload).fields

    def submit(self, fields: dict[str, str]) -> OperationItem:
        response = self.browser.post(self.url, fields)
        assert response.status_code == 303
        self.drive.work_off()
        return OperationItem.objects.latest("pk")

    def seen(self, upload: UploadRef) -> dict[str, Any]:
        """The preflight as a script sees it."""
        response = self.browser.get(self.url, self.named(upload), HTTP_ACCEPT=JSON)
        assert response.status_code == 200
        seen: dict[str, Any] = response.json()
        return seen

    def post(self, upload: UploadRef, **fields: str) -> OperationItem:
        """The request of a script, which the workers then do."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        response = self.browser.post(self.url, self.named(upload) | named, HTTP_ACCEPT=JSON)
        assert response.status_code in (200, 202), response.content
        self.drive.work_off()
        return OperationItem.objects.latest("pk")


@pytest.fixture
def completing(drive: Drive, browser: Client, monkeypatch: pytest.MonkeyPatch) -> Completing:
    monkeypatch.setattr("dashboard.operations.pages.PATIENCE_SECONDS", 0.0)
    return Completing(browser, f"/stores/{drive.store.name}/{drive.bucket}/uploads/complete/", drive)


def details(item: OperationItem) -> list[str]:
    assert item.error is not None
    return [each.code for each in item.error.details]


def check_refused(item: OperationItem, *changes: str, others: Others, upload: UploadRef) -> None:
    """Failed with what changed; the upload is still there."""
    assert (item.state, item.error_reason) == (ItemState.FAILED, Code.CHANGED_SINCE_CONFIRMED)
    assert details(item) == list(changes)
    assert others.uploads() == [upload.upload_id]


class TestObjects:
    """The object that would be replaced is the one that was shown."""

    def test_object_that_another_client_wrote_meanwhile_is_kept(
        self, completing: Completing, others: Others, part_size: int
    ) -> None:
        """The first case: the page says "replaces 5 bytes, ETag X", and another client writes to that key."""
        others.put(b"shown")
        upload = others.create_upload(os.urandom(part_size), b"end")
        form = completing.form(upload)
        others.put(b"written by another client")
        item = completing.submit(form)
        check_refused(item, Code.OBJECT_REPLACED_MEANWHILE, others=others, upload=upload)
        assert item.error is not None
        (change,) = item.error.details
        assert (change.params["seen_size_bytes"], change.params["size_bytes"]) == (5, 25)
        assert others.size() == 25
        page = Page(completing.browser.get(f"/operations/{item.operation_id}/"))
        assert "The object that was shown is not the one there now. Shown: 5 bytes" in page.words

    def test_object_that_was_shown_is_replaced(self, completing: Completing, others: Others, part_size: int) -> None:
        others.put(b"shown")
        item = completing.submit(completing.form(others.create_upload(os.urandom(part_size), b"end")))
        assert (item.state, others.size()) == (ItemState.DONE, part_size + 3)

    def test_object_that_disappeared_is_no_reason_to_refuse(
        self, completing: Completing, others: Others, drive: Drive
    ) -> None:
        """Nothing is lost."""
        others.put(b"shown")
        form = completing.form(others.create_upload(b"all"))
        others.truth.delete_object(drive.bucket, KEY)
        assert (completing.submit(form).state, others.size()) == (ItemState.DONE, 3)

    def test_box_is_required_to_replace(self, completing: Completing, others: Others) -> None:
        others.put()
        upload = others.create_upload(b"all")
        (box,) = completing.page(upload).find("input", type="checkbox", name="replace")
        assert box.has("required")
        form = completing.form(upload)
        del form["replace"]
        item = completing.submit(form)
        assert (item.state, item.error_reason) == (ItemState.FAILED, Code.OBJECT_NOT_TO_REPLACE)
        assert others.size() == len(OTHER_CONTENT)

    def test_page_looks_once_and_the_task_once_more(
        self, completing: Completing, others: Others, proxy: FaultProxy
    ) -> None:
        """One ListParts and one HEAD right before Complete, and one HEAD after it."""
        form = completing.form(others.create_upload(b"all"))
        proxy.requests.clear()
        completing.submit(form)
        expected = {"ListParts": 1, "HeadObject": 2, "CompleteMultipartUpload": 1}
        assert {name: proxy.requests[name] for name in expected} == expected
        assert sum(proxy.requests.values()) == 4


class TestParts:
    """The object consists of the parts that were shown, with the gaps that were shown."""

    def test_part_that_arrives_meanwhile_is_not_built_in(
        self, completing: Completing, others: Others, part_size: int
    ) -> None:
        """The second case: the page says 391 KiB, and another part arrives."""
        upload = others.create_upload(os.urandom(part_size), os.urandom(part_size))
        form = completing.form(upload)
        others.send_part(upload, 3, b"another")
        item = completing.submit(form)
        check_refused(item, Code.PARTS_ARRIVED, others=others, upload=upload)
        assert item.error is not None
        assert item.error.details == (Problem(Code.PARTS_ARRIVED, count=1, parts="3"),)
        assert completing.submit(completing.form(upload)).state == ItemState.DONE
        assert others.size() == 2 * part_size + 7

    def test_gap_that_grows_is_not_confirmed(self, completing: Completing, others: Others, part_size: int) -> None:
        """The third case: gap 2 is confirmed, and part 50 arrives. The object would have the gaps 2 and 4-49."""
        upload = others.create_upload()
        for number in (1, 3):
            others.send_part(upload, number, os.urandom(part_size))
        form = completing.form(upload)
        assert form["gaps"] == "2"
        others.send_part(upload, 50, b"end")
        check_refused(completing.submit(form), Code.PARTS_ARRIVED, others=others, upload=upload)
        form = completing.form(upload)
        assert form["gaps"] == "2,4-49"
        assert (completing.submit(form).state, others.size()) == (ItemState.DONE, 2 * part_size + 3)

    def test_part_that_is_replaced_meanwhile_is_named(
        self, completing: Completing, others: Others, store: Store, part_size: int
    ) -> None:
        upload = others.create_upload(*[os.urandom(part_size)] * 3, b"end")
        form = completing.form(upload)
        if provider_of(store).keeps_part_copies:
            time.sleep(1.1)  # The dates that tell the copies apart have whole seconds.
        others.send_part(upload, 3, os.urandom(part_size))
        item = completing.submit(form)
        check_refused(item, Code.PARTS_SENT_AGAIN, others=others, upload=upload)
        assert item.error is not None
        assert item.error.details[0].params["parts"] == "3"


class TestRequestsOfScripts:
    """JSON and POST without a form need the same consent."""

    def test_request_that_repeats_nothing_is_refused(
        self, completing: Completing, others: Others, proxy: FaultProxy
    ) -> None:
        upload = others.create_upload(b"all")
        for fields in ({}, {"allow-gaps": "1"}, {"replace": "on"}, {"parts-seen": ""}):
            response = completing.browser.post(completing.url, completing.named(upload) | fields, HTTP_ACCEPT=JSON)
            assert (response.status_code, response.json()["error"]["code"]) == (400, "ConfirmationMissing")
            assert "parts-seen" in response.json()["error"]["message"]
        page = completing.browser.post(completing.url, completing.named(upload))
        assert page.status_code == 400
        assert "Nothing was requested" in page.content.decode()
        assert not Operation.objects.exists()
        assert not proxy.requests["CompleteMultipartUpload"]

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"parts-seen": "0" * 63}, "ConfirmationInvalid"),
            ({"parts-seen": "0" * 64 + "/1-2"}, "ConfirmationInvalid"),
            ({"parts-seen": "0" * 64 + "/1-99999/AAAA"}, "ConfirmationInvalid"),
            ({"parts-seen": "0" * 64 + "/1-2/AAAA"}, "ConfirmationInvalid"),
            ({"parts-seen": "0" * 64, "gaps": "4-2"}, "ConfirmationInvalid"),
            ({"parts-seen": "0" * 64, "gaps": "everything"}, "ConfirmationInvalid"),
            ({"parts-seen": ["0" * 64, "1" * 64]}, "ConfirmationInvalid"),
            ({"parts-seen": "0" * 64, "replace": "on"}, "ReplaceEtagMissing"),
            (
                {"parts-seen": "0" * 64, "replace": "on", "replace-etag": "x", "replace-size": "-1"},
                "ConfirmationInvalid",
            ),
            (
                {
                    "parts-seen": "0" * 64,
                    "replace": "on",
                    "replace-etag": "x",
                    "replace-modified": "0001-01-01T00:00:00+14:00",
                },
                "ConfirmationInvalid",
            ),
        ],
    )
    @pytest.mark.parametrize("backend", ["versity", "seaweedfs"], indirect=True)
    def test_invalid_confirmation_is_refused(
        self, completing: Completing, others: Others, fields: dict[str, str], code: str
    ) -> None:
        upload = others.create_upload(b"all")
        response = completing.browser.post(completing.url, completing.named(upload) | fields, HTTP_ACCEPT=JSON)
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
        assert not Operation.objects.exists()

    def test_default_is_not_to_replace(self, completing: Completing, others: Others) -> None:
        others.put()
        upload = others.create_upload(b"all")
        seen = completing.seen(upload)
        item = completing.post(upload, parts_seen=str(seen["PartsSeen"]))
        assert (item.state, item.error_reason) == (ItemState.FAILED, Code.OBJECT_NOT_TO_REPLACE)
        assert others.size() == len(OTHER_CONTENT)

    def test_replace_names_the_object_by_its_etag(self, completing: Completing, others: Others) -> None:
        others.put()
        upload = others.create_upload(b"all")
        seen = completing.seen(upload)
        replaced = seen["Object"]
        assert isinstance(replaced, dict)
        parts = str(seen["PartsSeen"]).partition("/")[0]
        other = completing.post(upload, parts_seen=parts, replace="on", replace_etag="0" * 32)
        check_refused(other, Code.OBJECT_REPLACED_MEANWHILE, others=others, upload=upload)
        item = completing.post(upload, parts_seen=parts, replace="on", replace_etag=f'"{replaced["ETag"]}"')
        assert (item.state, others.size()) == (ItemState.DONE, 3)

    def test_gaps_are_named(self, completing: Completing, others: Others, part_size: int) -> None:
        upload = others.create_upload()
        for number in (1, 3):
            others.send_part(upload, number, os.urandom(part_size))
        seen = completing.seen(upload)
        assert seen["Gaps"] == "2"
        for gaps in ("", "1", "2-3"):
            item = completing.post(upload, parts_seen=str(seen["PartsSeen"]), gaps=gaps)
            assert (item.state, item.error_reason) == (ItemState.FAILED, Code.GAP_NOT_ALLOWED)
            assert details(item) == [Code.PARTS_MISSING]
        item = completing.post(upload, parts_seen=str(seen["PartsSeen"]), gaps=" 2 ")
        assert item.state == ItemState.DONE

    def test_digest_alone_tells_that_something_changed(
        self, completing: Completing, others: Others, part_size: int
    ) -> None:
        upload = others.create_upload(os.urandom(part_size))
        digest = str(completing.seen(upload)["PartsSeen"]).partition("/")[0]
        others.send_part(upload, 2, b"more")
        item = completing.post(upload, parts_seen=digest)
        check_refused(item, Code.PARTS_NOT_AS_SEEN, others=others, upload=upload)


class TestHeadNotAllowed:
    """What nobody can look at is replaced only if that was confirmed."""

    def test_consent_is_needed(self, completing: Completing, others: Others, proxy: FaultProxy, store: Store) -> None:
        others.put()
        upload = others.create_upload(b"all")
        proxy.always("HeadObject", Fault.ACCESS_DENIED)
        form = completing.form(upload)
        assert form["replace-etag"] == "*"
        assert completing.seen(upload)["ObjectKnown"] is False
        refused = completing.submit({name: value for name, value in form.items() if name != "replace"})
        assert refused.state == ItemState.FAILED
        assert refused.error_reason in {Code.OBJECT_NOT_COMPARABLE, Code.OBJECT_APPEARED}
        assert others.size() == len(OTHER_CONTENT)
        assert completing.submit(form).state == ItemState.DONE
        assert others.size() == 3

    def test_object_that_can_no_longer_be_compared_is_kept(
        self, completing: Completing, others: Others, proxy: FaultProxy, store: Store
    ) -> None:
        others.put()
        form = completing.form(others.create_upload(b"all"))
        proxy.always("HeadObject", Fault.ACCESS_DENIED)
        item = completing.submit(form)
        if provider_of(store).if_match:
            # The store compares the object itself, and it is still the one that was shown.
            assert (item.state, others.size()) == (ItemState.DONE, 3)
            return
        assert (item.state, item.error_reason) == (ItemState.FAILED, Code.OBJECT_NOT_COMPARABLE)
        shown = error_json(item.error)
        assert shown is not None
        assert "select the replacement on the page, or send" in shown["message"]
        assert others.size() == len(OTHER_CONTENT)


WITH_IF_MATCH = pytest.mark.parametrize("backend", ["versity"], indirect=True)


@WITH_IF_MATCH
class TestLastMoment:
    """Stores that compare an ETag themselves leave no moment in which an object can be lost."""

    @pytest.fixture(autouse=True)
    def compares(self, store: Store) -> None:
        Store.objects.filter(pk=store.pk).update(overrides=store.overrides | {"if_match": True})
        store.refresh_from_db()

    def test_object_that_changes_after_the_last_look_is_kept(
        self, completing: Completing, others: Others, proxy: FaultProxy
    ) -> None:
        others.put(b"shown")
        upload = others.create_upload(b"all")
        form = completing.form(upload)
        proxy.before("CompleteMultipartUpload", others.put)
        item = completing.submit(form)
        check_refused(item, Code.OBJECT_REPLACED_MEANWHILE, others=others, upload=upload)
        assert item.error_code == "PreconditionFailed"
        assert others.size() == len(OTHER_CONTENT)

    def test_object_that_did_not_change_is_replaced(self, completing: Completing, others: Others) -> None:
        others.put(b"shown")
        form = completing.form(others.create_upload(b"all"))
        assert (completing.submit(form).state, others.size()) == (ItemState.DONE, 3)


def test_operation_from_before_is_finished_as_it_was_requested(drive: Drive, others: Others) -> None:
    """Operations that an earlier version stored have no confirmation. They replace, and allow gaps, as requested."""
    others.put()
    upload = others.create_upload(b"all")
    operation = drive.complete(upload)
    Operation.objects.filter(pk=operation.pk).update(confirmed={}, forbid_overwrite=False)
    drive.work_off()
    assert (operation.items.get().state, others.size()) == (ItemState.DONE, 3)
