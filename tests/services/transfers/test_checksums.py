"""Stores that verify CRC-64/NVME in place of Content-MD5: who may choose it, what is sent, and what is proved."""

from __future__ import annotations

import hashlib
import os
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from tests.services.drive import MIB, Drive
from tests.stores.servers import IN_SUITE, Server, server_of
from uploads.domain.proofs import Proof
from uploads.domain.states import Phase
from uploads.models import AuditEntry, Store, StoreCheck, Transfer
from uploads.objectstore import checksums, transport
from uploads.objectstore.checksums import CRC64_HEADER, Crc64, as_kept, as_store_writes_it
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.payload import Payload
from uploads.objectstore.types import CompletedPart, FileSlice, ObjectFacts
from uploads.problems import Code
from uploads.services.browse.browsing import head_object
from uploads.services.stores.checks.request import request_check
from uploads.services.stores.checks.run import run_store_check
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store, change_store
from uploads.services.transfers import send

pytestmark = pytest.mark.django_db(transaction=True)

VERIFYING = ("versity", "seaweedfs", "s3proxy")
"""Test servers that refuse a wrong CRC-64/NVME and report the right one. Swift refuses it, and reports none."""

PART = 5 * MIB


def values_of(running: Server, **changes: Any) -> StoreValues:
    given = running.config()
    values = {
        "name": running.name,
        "endpoint_url": given.endpoint_url,
        "region": given.region,
        "provider": given.provider,
        "access_key": given.credentials.access_key,
        "secret_key": given.credentials.secret_key,
    }
    return StoreValues(**{**values, **changes})


def check(store: Store, bucket: str) -> StoreCheck:
    row = request_check(None, store, bucket, here=True)
    run_store_check(row.pk)
    row.refresh_from_db()
    return row


def code_of(error: ValidationError) -> str | None:
    [only] = error.error_dict["checksum"]
    return only.code


@pytest.fixture
def running(request: pytest.FixtureRequest) -> Server:
    return server_of(request)


@pytest.fixture
def store(transactional_db: None, running: Server) -> Store:
    store = add_store(None, values_of(running))
    Store.objects.filter(pk=store.pk).update(overrides=dict(running.kind.overrides))
    store.refresh_from_db()
    return store


@pytest.fixture
def bucket(running: Server) -> str:
    return running.store.new_bucket()


@pytest.fixture
def by_crc64(store: Store) -> Store:
    """The store with CRC-64, as after a check."""
    Store.objects.filter(pk=store.pk).update(checksum="crc64nvme", verifies_crc64=True)
    store.refresh_from_db()
    return store


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """The operations, and the names of those of their headers that are about digests."""
    requests: list[tuple[str, set[str]]] = []
    prepare = transport.Transport.prepare

    def noting(self: transport.Transport, call: transport.Call) -> Any:
        prepared = prepare(self, call)
        names = {name.lower() for name in prepared.headers}
        requests.append((call.operation, {name for name in names if "md5" in name or "checksum" in name}))
        return prepared

    monkeypatch.setattr(transport.Transport, "prepare", noting)
    return requests


def crc64_of(content: bytes) -> int:
    digest = Crc64("nvme")
    digest.update(content)
    return digest.value


# --- Who may choose it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", IN_SUITE, indirect=True)
def test_only_a_store_that_was_seen_to_refuse_a_wrong_crc64_may_use_it(
    store: Store, running: Server, bucket: str, user: User
) -> None:
    chosen = values_of(running, checksum="crc64nvme")
    with pytest.raises(ValidationError) as before:
        change_store(user, store, chosen)
    if running.name == "oss":
        assert code_of(before.value) == Code.CHECKSUM_NOT_OF_PROVIDER
        return
    assert code_of(before.value) == Code.CHECKSUM_NOT_PROVED
    row = check(store, bucket)
    assert (row.error, row.leftovers) == (None, [])
    store.refresh_from_db()
    assert store.verifies_crc64 == (running.name in VERIFYING)
    if running.name not in VERIFYING:
        with pytest.raises(ValidationError) as after:
            change_store(user, store, chosen)
        assert code_of(after.value) == Code.CHECKSUM_NOT_PROVED
        assert Store.objects.get(pk=store.pk).checksum == "md5"
        return
    change_store(user, store, chosen)
    entry = AuditEntry.objects.filter(action="store.changed").first()
    assert entry is not None
    assert (entry.before, entry.after) == ({"checksum": "md5"}, {"checksum": "crc64nvme"})
    assert Store.objects.get(pk=store.pk).body_checksum == "crc64nvme"


@pytest.mark.parametrize("running", ["versity"], indirect=True)
def test_a_new_store_starts_with_md5(running: Server) -> None:
    with pytest.raises(ValidationError) as error:
        add_store(None, values_of(running, checksum="crc64nvme"))
    assert code_of(error.value) == Code.CHECKSUM_OF_NEW_STORE
    assert not Store.objects.exists()


@pytest.mark.parametrize("running", ["versity"], indirect=True)
def test_another_endpoint_needs_another_proof(by_crc64: Store, running: Server) -> None:
    elsewhere = values_of(running, checksum="crc64nvme", endpoint_url="http://store.example.org:9000")
    with pytest.raises(ValidationError) as error:
        change_store(None, by_crc64, elsewhere)
    assert code_of(error.value) == Code.CHECKSUM_OF_OTHER_STORE
    change_store(None, by_crc64, values_of(running, checksum="md5", endpoint_url="http://store.example.org:9000"))
    assert not Store.objects.get(pk=by_crc64.pk).verifies_crc64


@pytest.mark.parametrize("running", ["ceph"], indirect=True)
def test_a_check_that_finds_the_contrary_ends_its_use(by_crc64: Store, running: Server, bucket: str) -> None:
    check(by_crc64, bucket)
    by_crc64.refresh_from_db()
    assert (by_crc64.checksum, by_crc64.body_checksum) == ("crc64nvme", "md5")
    # Other settings can still be changed.
    change_store(None, by_crc64, values_of(running, checksum="crc64nvme", buckets=(bucket,)))


@pytest.mark.parametrize("running", ["versity"], indirect=True)
def test_the_command_chooses_it_after_a_check(store: Store, running: Server, bucket: str) -> None:
    with pytest.raises(CommandError, match="--checksum: No store check has proved"):
        call_command("add_store", running.name, "--update", "--checksum", "crc64nvme", stdout=StringIO())
    check(store, bucket)
    call_command("add_store", running.name, "--update", "--checksum", "crc64nvme", stdout=StringIO())
    assert Store.objects.get(pk=store.pk).body_checksum == "crc64nvme"


# --- What is sent, and what is proved ---------------------------------------------------------------------------------


@pytest.mark.parametrize("running", VERIFYING, indirect=True)
@pytest.mark.parametrize("size", [0, 1, 2 * PART + 1])
def test_a_file_is_verified_by_its_crc64_and_no_md5_is_computed(
    by_crc64: Store,
    bucket: str,
    user: User,
    size: int,
    sent: list[tuple[str, set[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_md5(self: Payload) -> bytes:
        pytest.fail("an MD5 was computed")

    drive, content = Drive(user, by_crc64, bucket), os.urandom(size)
    transfer = drive.upload(content, part_size=PART)
    assert transfer.checksum == "crc64nvme"
    # The body of Complete is not the file: it has a Content-MD5, as before.
    monkeypatch.setattr(Payload, "md5", property(no_md5)) if transfer.by_put_object else None
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True), transfer.error
    assert transfer.crc64 == as_kept(checksums.ReportedCrc64("nvme", crc64_of(content)))
    assert Proof.CRC64 in transfer.proofs
    assert Proof.ETAG not in transfer.proofs
    bodies = [names for operation, names in sent if operation in ("UploadPart", "PutObject")]
    assert bodies == [{CRC64_HEADER}] * transfer.part_count
    by_operation = dict(sent)
    assert by_operation["HeadObject"] == {"x-amz-checksum-mode"}
    if not transfer.by_put_object:
        assert by_operation["CreateMultipartUpload"] == {"x-amz-checksum-algorithm", "x-amz-checksum-type"}
        whole = {"content-md5", CRC64_HEADER, "x-amz-checksum-type"}
        assert by_operation["CompleteMultipartUpload"] == whole


@pytest.mark.parametrize("running", VERIFYING, indirect=True)
def test_damaged_bytes_are_refused_and_sent_again(
    by_crc64: Store, bucket: str, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is that of other bytes than those that arrive, once."""
    content = os.urandom(2 * PART)
    drive = Drive(user, by_crc64, bucket)
    transfer = drive.upload(content, part_size=PART)
    damage = iter([True])
    headers = Payload.digest_headers.fget  # type: ignore[attr-defined]

    def damaged(self: Payload) -> Any:
        if self.size == PART and next(damage, False):
            return {CRC64_HEADER: as_store_writes_it("nvme", self.crc64 ^ 1)}
        return headers(self)

    monkeypatch.setattr(Payload, "digest_headers", property(damaged))
    drive.send(transfer)
    first = transfer.parts.get(number=1)
    assert (first.state, first.error_reason) == ("staged", Reason.DIGEST_MISMATCH.value)
    assert first.error is not None
    assert first.error.code == "BadDigest"
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True)


@pytest.mark.parametrize("running", VERIFYING, indirect=True)
def test_the_store_refuses_an_object_with_another_crc64(store: Store, bucket: str, tmp_path: Any) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"content")
    client = client_for(store)
    upload_id = client.create_multipart_upload(bucket, "k", checksum="crc64nvme")
    part = client.upload_part(bucket, "k", upload_id, 1, FileSlice(path, 0, 7), checksum="crc64nvme")
    completed = [CompletedPart(1, part.etag, part.crc64)]
    with pytest.raises(Refused) as refused:
        client.complete_multipart_upload(bucket, "k", upload_id, completed, crc64=part.crc64 ^ 1)
    assert (refused.value.reason, refused.value.code) == (Reason.DIGEST_MISMATCH, "BadDigest")
    client.complete_multipart_upload(bucket, "k", upload_id, completed, crc64=part.crc64)
    facts = client.head_object(bucket, "k", with_checksum=True)
    assert facts.crc64 == checksums.ReportedCrc64("nvme", crc64_of(b"content"))


@pytest.mark.parametrize("running", ["versity"], indirect=True)
@pytest.mark.parametrize(("before", "after"), [("md5", "crc64nvme"), ("crc64nvme", "md5")])
def test_a_transfer_keeps_the_checksum_that_it_began_with(
    by_crc64: Store, bucket: str, user: User, before: str, after: str, sent: list[tuple[str, set[str]]]
) -> None:
    store = by_crc64
    Store.objects.filter(pk=store.pk).update(checksum=before)
    store.refresh_from_db()
    drive = Drive(user, store, bucket)
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    drive.send(transfer, parts=1)
    Store.objects.filter(pk=store.pk).update(checksum=after)
    transfer = Transfer.objects.get(pk=transfer.pk)
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified, transfer.checksum) == (Phase.DONE, True, before)
    header = CRC64_HEADER if before == "crc64nvme" else "content-md5"
    assert [names for operation, names in sent if operation == "UploadPart"] == [{header}] * 2


@pytest.mark.parametrize("running", ["versity"], indirect=True)
def test_a_part_whose_response_was_lost_is_found(
    by_crc64: Store, bucket: str, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its ETag, which is the MD5 of the staged bytes: ListParts of most stores has no CRC-64."""
    from uploads.objectstore.errors import OutcomeUnknown
    from uploads.problems import Problem

    drive = Drive(user, by_crc64, bucket)
    transfer = drive.upload(os.urandom(2 * PART), part_size=PART)
    send_bytes, lost = send.send_bytes, iter([True])

    def losing(*arguments: Any) -> Any:
        response = send_bytes(*arguments)
        if next(lost, False):
            raise OutcomeUnknown(Problem(Code.CONNECTION_STALLED), reason=Reason.TIMEOUT, retryable=True)
        return response

    monkeypatch.setattr(send, "send_bytes", losing)
    drive.send(transfer)
    assert set(transfer.parts.values_list("state", flat=True)) == {"sent"}
    drive.finish(transfer)
    assert (transfer.phase, transfer.verified) == (Phase.DONE, True)


@pytest.mark.parametrize("running", ["versity"], indirect=True)
@pytest.mark.parametrize("size", [1, 2 * PART])
def test_without_the_crc64_of_the_object_nothing_is_claimed(
    by_crc64: Store, bucket: str, user: User, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was replaced behind its address, or a proxy, may not report it any more."""
    monkeypatch.setattr(checksums, "reported_nvme", lambda _text: None)
    monkeypatch.setattr("uploads.objectstore.xml.reported_nvme", lambda _text: None)
    drive, content = Drive(user, by_crc64, bucket), os.urandom(size)
    transfer = drive.finish(drive.upload(content, part_size=PART))
    assert (transfer.phase, transfer.verified) == (Phase.DONE, False)
    assert transfer.error_reason == Code.OBJECT_WITHOUT_CRC64
    assert Proof.CRC64 not in transfer.proofs
    # The parts are then compared by their ETags, as for other stores.
    etags = [part.etag for part in transfer.parts.order_by("number")]
    sizes = [content[start : start + PART] for start in range(0, size, PART)]
    assert etags == [hashlib.md5(each).hexdigest() for each in sizes]
    monkeypatch.undo()
    assert isinstance(head_object(by_crc64, bucket, transfer.key).facts, ObjectFacts)
