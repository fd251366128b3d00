"""ETags that are not the MD5 of the bytes that were sent: other bytes in the store, or ETags that are no MD5s."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from django.contrib.auth.models import User

from tests.services.drive import Drive, staged_names
from tests.services.transfers.unknown_outcomes.outcomes import (
    PART,
    Reader,
    Truth,
    assert_done,
    bytes_of,
    due,
    first_part,
)
from tests.stores.any_store import values_of
from tests.stores.running import RunningStore
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import PartState, Phase
from uploads.models import AuditEntry, Part, Store, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code
from uploads.services.browse.browsing import provider_of
from uploads.services.stores.settings import change_store
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.steps import can_retry, request_retry
from uploads.services.work import attempts


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """Swift reports no checksum of bodies: nothing but the ETag shows what it has received."""
    return swift_store


@pytest.fixture(params=["generic", "swift"])
def store(request: pytest.FixtureRequest, store: Store) -> Store:
    Store.objects.filter(pk=store.pk).update(provider=request.param)
    store.refresh_from_db()
    return store


def attempt(part: Part) -> Part:
    due(part.transfer)
    send_part(part.pk)
    part.refresh_from_db()
    return part


def is_marked(store: Store) -> bool:
    return not provider_of(Store.objects.get(pk=store.pk)).etag_is_md5


def test_part_with_another_etag_is_sent_again(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer, read_object: Reader
) -> None:
    """A store that changed a byte and reports its true MD5: on every profile, the part is sent again."""
    data = bytes_of(transfer)
    open_store_upload(transfer.pk)
    proxy.next("UploadPart", Fault.OTHER_ETAG)
    part = attempt(first_part(transfer))
    assert (part.state, part.error_reason) == (PartState.STAGED, Reason.DIGEST_MISMATCH)
    assert part.staged_path.exists()
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.parts[1] == 2
    assert not is_marked(drive.store)


@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_same_mismatch_twice_shows_that_the_etags_are_no_md5s(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader, operation: str
) -> None:
    """Of parts and of objects: from then on, bytes are sent once, and the store is marked as after a store check."""
    data = os.urandom(PART if operation == "PutObject" else 2 * PART)
    transfer = drive.upload(data, part_size=PART)
    proxy.always(operation, Fault.OTHER_ETAG)
    if operation == "UploadPart":
        open_store_upload(transfer.pk)
    assert attempt(first_part(transfer)).state == PartState.STAGED
    assert not is_marked(drive.store)
    part = attempt(first_part(transfer))
    assert (part.state, part.error_code, part.tries) == (PartState.SENT, "", 0)
    assert is_marked(drive.store)
    assert AuditEntry.objects.filter(action="store.etags-no-md5", store=drive.store.name).count() == 1
    assert proxy.requests[operation] == 2
    if operation == "UploadPart":
        assert attempt(transfer.parts.get(number=2)).state == PartState.SENT
        assert proxy.requests[operation] == 3
    else:
        assert_done(drive, transfer, truth, read_object, data)


@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_etags_that_change_are_never_taken_for_proof(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, read_object: Reader, operation: str
) -> None:
    """Different MD5s for the same bytes: the store may change bits at random. The transfer fails, no byte is lost."""
    data = os.urandom(PART if operation == "PutObject" else PART + 1)
    transfer = drive.upload(data, part_size=PART)
    proxy.always(operation, Fault.CHANGING_ETAG)
    if operation == "UploadPart":
        open_store_upload(transfer.pk)
    for _ in range(attempts.MAX_ATTEMPTS):
        attempt(first_part(transfer))
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_reason) == (Phase.FAILED, Reason.DIGEST_MISMATCH)
    assert len(staged_names(transfer)) == transfer.part_count
    assert not is_marked(drive.store)


def test_store_whose_etags_were_md5s_is_not_marked(
    drive: Drive, proxy: FaultProxy, truth: Truth, transfer: Transfer
) -> None:
    """Its ETags are MD5s: the same other ETag twice means that the same bytes are damaged every time."""
    drive.send(transfer, parts=1)
    proxy.always("UploadPart", Fault.OTHER_ETAG)
    part = transfer.parts.get(number=2)
    for _ in range(3):
        assert attempt(part).state == PartState.STAGED
    assert not is_marked(drive.store)
    assert part.error_reason == Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("fault", [Fault.OPAQUE_ETAG, Fault.CUSTOMER_KEY])
def test_etag_that_is_no_md5_is_accepted_at_once(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader, fault: Fault
) -> None:
    """Opaque ETags and customer keys: sent once, not failed, and the object is proved by HEAD."""
    data = os.urandom(PART)
    transfer = drive.upload(data)
    for operation in ("PutObject", "HeadObject"):
        proxy.always(operation, fault)
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.requests["PutObject"] == 1
    assert not is_marked(drive.store)


@pytest.mark.parametrize("fault", [Fault.OPAQUE_ETAG, Fault.CUSTOMER_KEY])
def test_lost_object_with_another_etag_is_found_by_its_transfer(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader, fault: Fault
) -> None:
    data = os.urandom(PART)
    transfer = drive.upload(data)
    proxy.next("PutObject", Fault.RESPONSE_LOST)
    proxy.always("HeadObject", fault)
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.requests["PutObject"] == 1


def test_damaged_object_whose_response_was_lost_is_sent_again(
    drive: Drive, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    """HEAD shows the transfer's own object, with the MD5 of other bytes."""
    data = os.urandom(PART)
    transfer = drive.upload(data)
    proxy.next("PutObject", Fault.RESPONSE_LOST)
    proxy.next("HeadObject", Fault.OTHER_ETAG)
    assert attempt(first_part(transfer)).state == PartState.STAGED
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.requests["PutObject"] == 2


def test_bytes_stay_staged_while_head_shows_other_bytes(
    drive: Drive, user: User, proxy: FaultProxy, truth: Truth, read_object: Reader
) -> None:
    """Whatever proves that an object sent by PutObject has other bytes (size, owner, CRC-64, ETag): the transfer fails,
    the bytes stay staged, and a retry sends them again.
    """
    data = os.urandom(PART)
    transfer = drive.upload(data)
    proxy.always("HeadObject", Fault.OTHER_ETAG)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_reason) == (Phase.FAILED, Code.OBJECT_ETAG_DIFFERS)
    assert len(staged_names(transfer)) == 1
    assert can_retry(transfer)
    proxy.clear()
    request_retry(user, transfer)
    assert_done(drive, transfer, truth, read_object, data)
    assert proxy.requests["PutObject"] == 2


def test_what_was_seen_of_etags_is_forgotten_at_another_endpoint(
    drive: Drive, any_store: RunningStore, proxy: FaultProxy, truth: Truth
) -> None:
    transfer = drive.upload(os.urandom(PART))
    send_part(first_part(transfer).pk)
    store = Store.objects.get(pk=drive.store.pk)
    assert store.etag_was_md5
    Store.objects.filter(pk=store.pk).update(overrides={"etag_is_md5": False})
    values = values_of(any_store, endpoint_url=proxy.url, provider=store.provider)
    store.refresh_from_db()
    change_store(None, store, replace(values, endpoint_url=any_store.endpoint_url))
    store.refresh_from_db()
    assert (store.etag_was_md5, store.overrides) == (False, {})
