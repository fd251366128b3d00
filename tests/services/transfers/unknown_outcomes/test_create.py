"""Lost, repeated and late responses to CreateMultipartUpload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.dashboard.misreporting import ListedPage, ListingQuery, MisreportingStore, by_key, misreporting
from tests.killed import Killed
from tests.services.drive import Drive
from tests.services.transfers.unknown_outcomes.outcomes import (
    KEY,
    Reader,
    Truth,
    actions,
    assert_done,
    bytes_of,
    due,
    states,
)
from tests.stores.running import RunningStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import Phase, StoreUploadState, TransferState
from uploads.models import AuditEntry, Store, StoreUpload, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice, MultipartUpload
from uploads.problems import Code, Problem
from uploads.selectors.overview import attention
from uploads.services.stores import clients
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.dismiss import request_dismissal
from uploads.services.transfers.orphans import MAX_PAGES
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.services.upkeep.reconcile import Outcome, reconcile
from uploads.services.work import leases


def lose_create(proxy: FaultProxy, transfer: Transfer, fault: Fault = Fault.RESPONSE_LOST) -> None:
    proxy.next("CreateMultipartUpload", fault)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.create_sent_at is not None
    assert transfer.phase == Phase.SENDING
    due(transfer)


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.TRUNCATED])
def test_upload_of_lost_response_is_aborted_and_another_created(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, fault: Fault
) -> None:
    data = bytes_of(transfer)
    lose_create(proxy, transfer, fault)
    [lost] = truth.uploads()
    open_store_upload(transfer.pk)
    [upload_id] = truth.uploads()
    assert upload_id != lost
    assert states(transfer) == {lost: StoreUploadState.GONE, upload_id: StoreUploadState.OPEN}
    assert "twin-aborted" in actions(transfer)
    assert_done(drive, transfer, truth, read_object, data)


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE_BODY, Fault.INTERNAL_ERROR, Fault.BAD_GATEWAY, Fault.STALL])
def test_upload_is_created_again_if_the_store_did_not_create_it(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, fault: Fault
) -> None:
    data = bytes_of(transfer)
    lose_create(proxy, transfer, fault)
    assert truth.uploads() == []
    open_store_upload(transfer.pk)
    assert list(states(transfer)) == truth.uploads()
    assert_done(drive, transfer, truth, read_object, data)


def test_duplicated_response_is_one_upload(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    proxy.next("CreateMultipartUpload", Fault.DUPLICATED)
    open_store_upload(transfer.pk)
    assert list(states(transfer)) == truth.uploads()
    assert_done(drive, transfer, truth, read_object, data)


def test_refused_create_leaves_nothing_to_find(proxy: FaultProxy, transfer: Transfer) -> None:
    proxy.next("CreateMultipartUpload", Fault.ACCESS_DENIED)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "AccessDenied")
    assert transfer.create_sent_at is None


def test_several_candidates_are_kept_as_possible_orphans(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    lose_create(proxy, transfer)
    theirs = truth.create_upload()
    candidates = truth.uploads()
    assert len(candidates) == 2
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    suspects = transfer.store_uploads.filter(state=StoreUploadState.SUSPECT)
    assert set(suspects.values_list("upload_id", flat=True)) == set(candidates)
    assert actions(transfer).count("possible-orphan") == 2
    assert len(truth.uploads()) == 3
    assert transfer.create_sent_at is None
    assert drive.finish(transfer).phase == Phase.DONE
    assert theirs in truth.uploads()


def test_older_upload_is_not_a_candidate(proxy: FaultProxy, truth: Truth, transfer: Transfer) -> None:
    older = truth.create_upload()
    lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
    # An upload created ten seconds before the request is not its result.
    Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=timezone.now() + timedelta(seconds=10))
    open_store_upload(transfer.pk)
    assert older in truth.uploads()
    assert older not in states(transfer)


def test_upload_created_long_after_the_request_is_not_a_candidate(
    proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    """The request cannot have reached the store an hour after it was sent."""
    lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
    later = truth.create_upload()
    Transfer.objects.filter(pk=transfer.pk).update(create_sent_at=timezone.now() - timedelta(hours=1))
    open_store_upload(transfer.pk)
    assert later in truth.uploads()
    assert later not in states(transfer)


@pytest.mark.parametrize("key", ["a/key2", "a/ke", "a/key/b", "A/KEY"])
def test_upload_of_another_key_is_not_a_candidate(
    proxy: FaultProxy, truth: Truth, transfer: Transfer, key: str
) -> None:
    lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
    other = truth.create_upload(key)
    open_store_upload(transfer.pk)
    assert other in truth.uploads()
    assert other not in states(transfer)


def test_upload_with_parts_is_not_a_candidate(
    proxy: FaultProxy, truth: Truth, transfer: Transfer, tmp_path: Path
) -> None:
    lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
    other = truth.create_upload()
    (tmp_path / "part").write_bytes(b"theirs")
    truth.client.upload_part(truth.bucket, KEY, other, 1, FileSlice(tmp_path / "part", 0, 6))
    open_store_upload(transfer.pk)
    assert other in truth.uploads()
    assert other not in states(transfer)


def test_upload_recorded_for_another_transfer_is_not_a_candidate(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    lose_create(proxy, transfer, Fault.RESET_BEFORE_BODY)
    known = truth.create_upload()
    other = Transfer.objects.get(pk=transfer.pk)
    other.pk = Transfer().pk
    other.save(force_insert=True)
    StoreUpload.objects.create(transfer=other, upload_id=known)
    open_store_upload(transfer.pk)
    assert known in truth.uploads()
    assert known not in states(transfer)


def test_candidates_are_selected_by_the_clock_of_the_store(proxy: FaultProxy, truth: Truth, transfer: Transfer) -> None:
    """A process without an earlier request learns the store's time from the listing."""
    proxy.clock_ahead = timedelta(hours=1)
    lose_create(proxy, transfer)
    clients._clients.clear()
    [upload_id] = truth.uploads()
    open_store_upload(transfer.pk)
    assert upload_id in truth.uploads()


def test_transfer_continues_and_audits_that_listing_is_not_allowed(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    lose_create(proxy, transfer)
    [lost] = truth.uploads()
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    assert drive.finish(transfer).phase == Phase.DONE
    assert truth.uploads() == [lost]
    entry = AuditEntry.objects.get(transfer_id=transfer.pk, action="transfer.possible-orphan")
    assert entry.detail["reason"] == Problem(Code.UPLOADS_NOT_LISTABLE).as_json()


def test_no_second_upload_is_created_while_listing_fails(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    data = bytes_of(transfer)
    lose_create(proxy, transfer)
    lost = truth.uploads()
    proxy.next("ListMultipartUploads", Fault.INTERNAL_ERROR, count=4)
    open_store_upload(transfer.pk)
    assert truth.uploads() == lost
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.SENDING, "InternalError")
    assert transfer.create_sent_at is not None
    assert_done(drive, transfer, truth, read_object, data)


def test_upload_of_a_process_that_died_is_found(
    drive: Drive,
    truth: Truth,
    transfer: Transfer,
    read_object: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytes_of(transfer)
    create = ObjectStoreClient.create_multipart_upload

    def die_afterwards(*args: Any, **kwargs: Any) -> str:
        create(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(ObjectStoreClient, "create_multipart_upload", die_afterwards)
        open_store_upload(transfer.pk)
    [lost] = truth.uploads()
    open_store_upload(transfer.pk)
    assert truth.uploads() == [lost], "the lease of the dead process is still valid"
    Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
    open_store_upload(transfer.pk)
    assert states(transfer)[lost] == StoreUploadState.GONE
    assert len(truth.uploads()) == 1
    assert_done(drive, transfer, truth, read_object, data)


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.RESET_BEFORE_BODY])
def test_transfer_cancelled_after_lost_response_leaves_nothing(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer, fault: Fault
) -> None:
    lose_create(proxy, transfer, fault)
    request_cancel(user, transfer)
    drive.finish(transfer)
    assert transfer.phase == Phase.CANCELLED
    assert transfer.create_sent_at is None
    assert truth.uploads() == []
    assert not transfer.folder.exists()


def test_cancellation_waits_until_uploads_can_be_listed(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    lose_create(proxy, transfer)
    proxy.always("ListMultipartUploads", Fault.INVALID_ACCESS_KEY)
    request_cancel(user, transfer)
    drive.finish(transfer, rounds=2)
    assert transfer.state is TransferState.CANCELLING
    proxy.clear()
    assert drive.finish(transfer).phase == Phase.CANCELLED
    assert truth.uploads() == []


def test_upload_created_after_a_takeover_is_aborted_and_recorded(
    drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response takes longer than the lease: another process creates an upload in the meantime."""
    data = bytes_of(transfer)
    create = ObjectStoreClient.create_multipart_upload
    late = iter([True])

    def overtaken(*args: Any, **kwargs: Any) -> str:
        if next(late, False):
            Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
            open_store_upload(transfer.pk)
        return create(*args, **kwargs)

    monkeypatch.setattr(ObjectStoreClient, "create_multipart_upload", overtaken)
    open_store_upload(transfer.pk)
    assert sorted(states(transfer).values()) == [StoreUploadState.GONE, StoreUploadState.OPEN]
    assert len(truth.uploads()) == 1
    assert_done(drive, transfer, truth, read_object, data)


def test_upload_that_another_worker_aborted_is_not_recorded_as_open(
    drive: Drive, truth: Truth, transfer: Transfer, read_object: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes_of(transfer)
    create = ObjectStoreClient.create_multipart_upload
    late = iter([True])

    def overtaken(*args: Any, **kwargs: Any) -> str:
        upload_id = create(*args, **kwargs)
        if next(late, False):
            Transfer.objects.filter(pk=transfer.pk).update(lease_until=leases.in_seconds(-1))
            open_store_upload(transfer.pk)
        return upload_id

    monkeypatch.setattr(ObjectStoreClient, "create_multipart_upload", overtaken)
    open_store_upload(transfer.pk)
    assert sorted(states(transfer).values()) == [StoreUploadState.GONE, StoreUploadState.OPEN]
    assert_done(drive, transfer, truth, read_object, data)


@pytest.mark.parametrize(
    "fault",
    [Fault.REDIRECT_AFTER, Fault.PAGE_AFTER, Fault.UNAVAILABLE_AFTER, Fault.TRUNCATED, Fault.RESPONSE_LOST],
)
def test_upload_behind_an_unusable_response_is_found(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, fault: Fault
) -> None:
    """Whatever a proxy sends in place of the store's response (a redirect, a page, nothing): the store may have acted,
    and only a readable refusal says that it did not.
    """
    data = bytes_of(transfer)
    lose_create(proxy, transfer, fault)
    [lost] = truth.uploads()
    assert (transfer.phase, transfer.lost_creates) == (Phase.SENDING, 0)
    assert transfer.create_sent_at is not None
    assert_done(drive, transfer, truth, read_object, data)
    assert states(transfer)[lost] == StoreUploadState.GONE


@pytest.mark.parametrize(
    "fault",
    [
        Fault.REDIRECT,
        Fault.BAD_REQUEST_PAGE,
        Fault.NOT_FOUND_PAGE,
        Fault.NOT_FOUND_EMPTY,
        Fault.BAD_GATEWAY,
        Fault.UNAVAILABLE_PAGE,
        Fault.EMPTY_SUCCESS,
    ],
)
def test_create_that_a_proxy_answered_is_sent_again(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader, fault: Fault
) -> None:
    data = bytes_of(transfer)
    lose_create(proxy, transfer, fault)
    assert transfer.phase == Phase.SENDING
    assert_done(drive, transfer, truth, read_object, data)
    assert list(states(transfer).values()) == [StoreUploadState.COMPLETED]


def test_readable_refusal_leaves_nothing_to_look_for(proxy: FaultProxy, transfer: Transfer) -> None:
    proxy.next("CreateMultipartUpload", Fault.ACCESS_DENIED)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.create_sent_at) == (Phase.FAILED, None)


def test_possible_orphans_without_id_are_recorded_until_they_are_dismissed(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    """Every lost response to Create whose upload cannot be looked for: listing refused, too long, or without end."""
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    for number in (1, 2):
        lose_create(proxy, transfer)
        due(transfer)
        assert (transfer.lost_creates, len(truth.uploads())) == (number - 1, number)
    assert drive.finish(transfer).phase == Phase.DONE
    assert (transfer.lost_creates, transfer.lost_create_reason) == (2, Code.UPLOADS_NOT_LISTABLE)
    assert transfer.lost_create_at is not None
    assert transfer.lost_create_until is not None
    assert transfer.lost_create_at < transfer.lost_create_until
    assert [each.lost_create for each in attention(user)] == [transfer]
    request_dismissal(user, transfer)
    transfer.refresh_from_db()
    assert transfer.lost_creates == 0
    assert attention(user) == []
    assert actions(transfer)[-1] == "orphan-dismissed"
    with pytest.raises(StepRefused):
        request_dismissal(user, transfer)


def test_reconciliation_finds_possible_orphans_once_the_uploads_can_be_listed(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    lose_create(proxy, transfer)
    [lost] = truth.uploads()
    drive.finish(transfer)
    assert [outcome for _, outcome in reconcile(dry_run=False)] == [Outcome.NOT_REPAIRED]
    proxy.clear()
    assert Outcome.REPAIRED in [outcome for _, outcome in reconcile(dry_run=False)]
    transfer.refresh_from_db()
    assert transfer.lost_creates == 0
    assert states(transfer)[lost] == StoreUploadState.SUSPECT


def test_candidate_whose_parts_cannot_be_listed_is_a_possible_orphan(
    proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    lose_create(proxy, transfer)
    [lost] = truth.uploads()
    proxy.always("ListParts", Fault.ACCESS_DENIED)
    open_store_upload(transfer.pk)
    assert states(transfer)[lost] == StoreUploadState.SUSPECT


class TestListingsThatDoNotTell:
    """A listing without dates, without the store's time, or without an end: nothing is dropped, nothing is aborted."""

    @pytest.fixture
    def served(
        self, truth: Truth, any_store: RunningStore, proxy: FaultProxy, transfer: Transfer
    ) -> Iterator[MisreportingStore]:
        with misreporting(truth.client, any_store.endpoint_url) as served:
            lose_create(proxy, transfer)
            Store.objects.update(endpoint_url=served.url)
            clients._clients.clear()
            yield served

    def test_upload_without_a_date(self, truth: Truth, transfer: Transfer, served: MisreportingStore) -> None:
        served.make_page = lambda uploads, query: by_key([replace(each, initiated=None) for each in uploads], query)
        [lost] = truth.uploads()
        open_store_upload(transfer.pk)
        assert states(transfer)[lost] == StoreUploadState.SUSPECT
        assert lost in truth.uploads()

    def test_store_without_a_clock(self, truth: Truth, transfer: Transfer, served: MisreportingStore) -> None:
        served.headers["GET"] = {"date": "never"}
        [lost] = truth.uploads()
        open_store_upload(transfer.pk)
        assert states(transfer)[lost] == StoreUploadState.SUSPECT

    @pytest.mark.parametrize("moves", [True, False])
    def test_listing_without_an_end(
        self, truth: Truth, transfer: Transfer, served: MisreportingStore, moves: bool
    ) -> None:
        def endless(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
            marker = f"a/key{len(served.queries) if moves else ''}"
            return ListedPage(uploads, is_truncated=True, key_marker=marker, upload_id_marker="x")

        served.make_page = endless
        [lost] = truth.uploads()
        open_store_upload(transfer.pk)
        transfer.refresh_from_db()
        assert states(transfer)[lost] == StoreUploadState.SUSPECT
        assert transfer.lost_creates == 1
        assert len(served.queries) <= MAX_PAGES
