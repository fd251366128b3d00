"""The CRC-64 of whole objects: combined from the parts, and compared with the one that the store reports.

No store that reports one can be run in tests, so a server of our own responds as S3 and OSS do.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.contrib.auth.models import User

from tests.objectstore.fault_server import Exchange, FaultServer
from tests.services.drive import MIB, Drive
from uploads.domain.states import ItemState, Phase
from uploads.models import OperationItem, Part, Transfer
from uploads.objectstore.checksums import Algorithm, Crc64, as_hex
from uploads.objectstore.client import NO_UPLOAD
from uploads.objectstore.types import UploadRef
from uploads.problems import Code
from uploads.services.stores import clients
from uploads.services.stores.settings import StoreValues, add_store
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.receive import Receiver
from uploads.services.transfers.steps import StepRefused, request_cancel, request_retry

PART = 5 * MIB


def crc(algorithm: Algorithm, content: bytes) -> int:
    checksum = Crc64(algorithm)
    checksum.update(content)
    return checksum.value


def nvme(value: int) -> str:
    return base64.b64encode(value.to_bytes(8)).decode()


@dataclass
class ReportingStore:
    """Keeps objects in memory, and reports for a whole object what a test sets."""

    completed_xml: Callable[[bytes], str] = lambda _: ""
    completed_headers: Callable[[bytes], dict[str, str]] = lambda _: {}
    head_headers: Callable[[bytes], dict[str, str]] = lambda _: {}
    parts: dict[int, bytes] = field(default_factory=dict)
    without_crc64: set[int] = field(default_factory=set)
    content: bytes | None = None
    head_is_denied: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    heads: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        exchange.read()
        request = exchange.received
        if request.method == "HEAD":
            self._head(exchange)
        elif NO_UPLOAD in request.target:
            exchange.respond(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        elif request.method == "PUT":
            self._put(exchange)
        elif request.method == "GET":
            exchange.respond(200, self._listed_parts().encode())
        elif "uploads" in request.target:
            self._keep_metadata(exchange)
            exchange.respond(
                200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        else:
            self.content = b"".join(self.parts[number] for number in sorted(self.parts))
            reported = self.completed_xml(self.content)
            body = f"<CompleteMultipartUploadResult><ETag>e-1</ETag>{reported}</CompleteMultipartUploadResult>"
            exchange.respond(200, body.encode(), self.completed_headers(self.content))

    def _listed_parts(self) -> str:
        """The response of OSS to ListParts: with the CRC-64 of each part except those in `without_crc64`."""
        rows = ""
        for number, content in sorted(self.parts.items()):
            crc64 = "" if number in self.without_crc64 else f"<HashCrc64ecma>{crc('ecma', content)}</HashCrc64ecma>"
            size = f"<PartNumber>{number}</PartNumber><Size>{len(content)}</Size>"
            rows += f"<Part>{size}<ETag>{hashlib.md5(content).hexdigest()}</ETag>{crc64}</Part>"
        return f"<ListPartsResult>{rows}</ListPartsResult>"

    def _put(self, exchange: Exchange) -> None:
        body = exchange.received.body
        number = re.search(r"partNumber=([0-9]+)", exchange.received.target)
        if number:
            self.parts[int(number[1])] = body
        else:
            self.content = body
            self._keep_metadata(exchange)
        exchange.respond(200, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def _keep_metadata(self, exchange: Exchange) -> None:
        named = exchange.received.headers.items()
        self.metadata = {name: text for name, text in named if name.startswith("x-amz-meta-")}

    def _head(self, exchange: Exchange) -> None:
        self.heads.append(exchange.received.headers)
        if self.content is None or self.head_is_denied:
            exchange.respond(403 if self.head_is_denied else 404)
            return
        facts = {"Content-Length": str(len(self.content)), "ETag": '"e-1"'}
        exchange.respond(200, headers=facts | self.metadata | self.head_headers(self.content))


@pytest.fixture
def reporting() -> ReportingStore:
    return ReportingStore()


@pytest.fixture
def server(reporting: ReportingStore) -> Iterator[FaultServer]:
    with FaultServer(*[reporting] * 100) as running:
        yield running


@pytest.fixture
def drive_of(user: User, server: FaultServer) -> Callable[[str], Drive]:
    def make(provider: str) -> Drive:
        values = StoreValues(
            name=provider,
            endpoint_url=server.url,
            region="us-east-1",
            provider=provider,
            addressing="path",
            access_key="AK",
            secret_key="SECRET",
        )
        return Drive(user, add_store(None, values), "bucket")

    return make


DriveOf = Callable[[str], Drive]


# --- Computed by Partway ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PART, 2 * PART, 2 * PART + 7])
def test_crc64_of_the_whole_file_is_recorded(drive: Drive, size: int) -> None:
    content = os.urandom(size)
    transfer = drive.upload(content, part_size=PART)
    drive.finish(transfer)
    assert (transfer.phase, transfer.crc64) == (Phase.DONE, f"nvme:{as_hex(crc('nvme', content))}")


def test_crc64_survives_restarts_between_parts(drive: Drive) -> None:
    """Three requests receive the file, three workers send one part each, and a fourth one completes it."""
    content = os.urandom(2 * PART + 7)
    transfer = drive.start(len(content), part_size=PART, resumable=True)
    for end in (PART + 1, 2 * PART, len(content)):
        clients._clients.clear()
        with Receiver(Transfer.objects.get(pk=transfer.pk)) as receiver:
            receiver.write(content[receiver.offset : end])
            receiver.end()
        drive.send(transfer, parts=1)
    assert all(len(value) == 16 for value in transfer.parts.values_list("crc64", flat=True))
    clients._clients.clear()
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.crc64) == (Phase.DONE, f"nvme:{as_hex(crc('nvme', content))}")


def test_no_byte_is_read_again_for_the_crc64(drive: Drive) -> None:
    content = os.urandom(PART + 7)
    transfer = drive.upload(content, part_size=PART)
    drive.send(transfer)
    assert not [path for path in transfer.folder.path.iterdir() if path.name[0].isdigit()]
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.crc64.endswith(as_hex(crc("nvme", content)))


# --- Compared with S3 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["complete", "head", "both", "nowhere"])
def test_matching_crc64_of_s3(drive_of: DriveOf, reporting: ReportingStore, where: str) -> None:
    if where in ("complete", "both"):
        reporting.completed_xml = lambda content: f"<ChecksumCRC64NVME>{nvme(crc('nvme', content))}</ChecksumCRC64NVME>"
    if where in ("head", "both"):
        reporting.head_headers = lambda content: {"x-amz-checksum-crc64nvme": nvme(crc("nvme", content))}
    content = os.urandom(PART + 7)
    drive = drive_of("aws")
    transfer = drive.upload(content, part_size=PART)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.DONE, "")
    assert transfer.crc64 == f"nvme:{as_hex(crc('nvme', content))}"
    assert {head.get("x-amz-checksum-mode") for head in reporting.heads} == {"ENABLED"}


@pytest.mark.parametrize("where", ["complete", "head"])
def test_crc64_mismatch_of_s3(drive_of: DriveOf, reporting: ReportingStore, where: str, user: User) -> None:
    def wrong(content: bytes) -> str:
        return nvme(crc("nvme", content) ^ 1)

    if where == "complete":
        reporting.completed_xml = lambda content: f"<ChecksumCRC64NVME>{wrong(content)}</ChecksumCRC64NVME>"
    else:
        reporting.head_headers = lambda content: {"x-amz-checksum-crc64nvme": wrong(content)}
    content = os.urandom(PART + 7)
    drive = drive_of("aws")
    transfer = drive.upload(content, part_size=PART)
    drive.finish(transfer)
    check_mismatch(transfer, crc("nvme", content), user)


def test_crc64_mismatch_is_reported_although_head_is_denied(
    drive_of: DriveOf, reporting: ReportingStore, user: User
) -> None:
    """A difference that the store itself has reported is not hidden by an error of HEAD."""
    reporting.completed_xml = lambda content: f"<ChecksumCRC64NVME>{nvme(crc('nvme', content) ^ 1)}</ChecksumCRC64NVME>"
    reporting.head_is_denied = True
    content = os.urandom(PART + 7)
    drive = drive_of("aws")
    transfer = drive.upload(content, part_size=PART)
    drive.finish(transfer)
    check_mismatch(transfer, crc("nvme", content), user)


def test_crc64_mismatch_of_s3_after_put_object(drive_of: DriveOf, reporting: ReportingStore, user: User) -> None:
    reporting.head_headers = lambda content: {"x-amz-checksum-crc64nvme": nvme(crc("nvme", content) ^ 1)}
    drive = drive_of("aws")
    transfer = drive.upload(b"small")
    drive.finish(transfer)
    check_mismatch(transfer, crc("nvme", b"small"), user)


def test_composite_checksum_is_not_compared(drive_of: DriveOf, reporting: ReportingStore) -> None:
    reporting.head_headers = lambda _: {"x-amz-checksum-crc64nvme": nvme(1), "x-amz-checksum-type": "COMPOSITE"}
    drive = drive_of("aws")
    transfer = drive.upload(b"small")
    assert drive.finish(transfer).phase == Phase.DONE


def check_mismatch(transfer: Transfer, ours: int, user: User) -> None:
    """Failed with both values; not retried, and not verified."""
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "Crc64Mismatch")
    assert transfer.error_reason == Code.CRC64_MISMATCH
    assert transfer.error_params == {"stored": as_hex(ours ^ 1), "sent": as_hex(ours)}
    assert not transfer.verified
    transfer.refresh_from_db()
    if not transfer.by_put_object:
        with pytest.raises(StepRefused, match=Code.BYTES_MISSING):
            request_retry(user, transfer)
    request_cancel(user, transfer)


# --- Compared with OSS ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["complete", "head"])
def test_matching_crc64_of_oss(drive_of: DriveOf, reporting: ReportingStore, where: str) -> None:
    def right(content: bytes) -> dict[str, str]:
        return {"x-oss-hash-crc64ecma": str(crc("ecma", content))}

    if where == "complete":
        reporting.completed_headers = right
    else:
        reporting.head_headers = right
    content = os.urandom(200_000)
    drive = drive_of("oss-s3")
    transfer = drive.upload(content, part_size=102_400)
    drive.finish(transfer)
    assert (transfer.phase, transfer.crc64) == (Phase.DONE, f"ecma:{as_hex(crc('ecma', content))}")
    assert transfer.part_count == 2


@pytest.mark.parametrize("where", ["complete", "head"])
def test_crc64_mismatch_of_oss(drive_of: DriveOf, reporting: ReportingStore, where: str, user: User) -> None:
    def wrong(content: bytes) -> dict[str, str]:
        return {"x-oss-hash-crc64ecma": str(crc("ecma", content) ^ 1)}

    if where == "complete":
        reporting.completed_headers = wrong
    else:
        reporting.head_headers = wrong
    content = os.urandom(200_000)
    drive = drive_of("oss-s3")
    transfer = drive.upload(content, part_size=102_400)
    drive.finish(transfer)
    check_mismatch(transfer, crc("ecma", content), user)


def test_parts_in_another_order_are_a_mismatch(drive_of: DriveOf, reporting: ReportingStore) -> None:
    """The MD5s of the parts cannot show that a store joins them in the wrong order."""

    def swapped(content: bytes) -> dict[str, str]:
        return {"x-oss-hash-crc64ecma": str(crc("ecma", content[102_400:] + content[:102_400]))}

    reporting.completed_headers = swapped
    drive = drive_of("oss-s3")
    transfer = drive.upload(os.urandom(204_800), part_size=102_400)
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, "Crc64Mismatch")


# --- Completions of an operator, of parts that only the store has ----------------------------------------------------


def complete_foreign(drive: Drive, reporting: ReportingStore) -> OperationItem:
    reporting.parts = {1: os.urandom(102_400), 3: b"the end"}
    drive.bucket = "bucket"
    drive.complete(UploadRef("a/key", "u"), gaps=True, replace=True)
    drive.work_off()
    return OperationItem.objects.get()


@pytest.mark.parametrize("where", ["complete", "head", "both", "nowhere"])
def test_completion_of_an_operator_is_compared(drive_of: DriveOf, reporting: ReportingStore, where: str) -> None:
    def right(content: bytes) -> dict[str, str]:
        return {"x-oss-hash-crc64ecma": str(crc("ecma", content))}

    if where in ("complete", "both"):
        reporting.completed_headers = right
    if where in ("head", "both"):
        reporting.head_headers = right
    item = complete_foreign(drive_of("oss-s3"), reporting)
    assert (item.state, item.outcome["verified"]) == (ItemState.DONE, True)
    assert reporting.content is not None
    assert item.outcome["expected_crc64"] == f"ecma:{as_hex(crc('ecma', reporting.content))}"


@pytest.mark.parametrize("where", ["complete", "head"])
def test_object_with_other_bytes_is_not_verified(drive_of: DriveOf, reporting: ReportingStore, where: str) -> None:
    def wrong(content: bytes) -> dict[str, str]:
        return {"x-oss-hash-crc64ecma": str(crc("ecma", content) ^ 1)}

    if where == "complete":
        reporting.completed_headers = wrong
    else:
        reporting.head_headers = wrong
    item = complete_foreign(drive_of("oss-s3"), reporting)
    assert (item.state, item.outcome["verified"]) == (ItemState.DONE, False)


def test_nothing_is_compared_if_a_part_has_no_crc64(drive_of: DriveOf, reporting: ReportingStore) -> None:
    reporting.without_crc64 = {3}
    reporting.head_headers = lambda _: {"x-oss-hash-crc64ecma": "1"}
    item = complete_foreign(drive_of("oss-s3"), reporting)
    assert (item.outcome["expected_crc64"], item.outcome["verified"]) == ("", True)


def test_crc64_of_another_polynomial_is_not_compared(drive_of: DriveOf, reporting: ReportingStore) -> None:
    reporting.head_headers = lambda _: {"x-amz-checksum-crc64nvme": nvme(1)}
    item = complete_foreign(drive_of("oss-s3"), reporting)
    assert item.outcome["verified"] is True


# --- What is recorded ------------------------------------------------------------------------------------------------


def test_mismatch_records_no_crc64_and_parts_keep_theirs(drive_of: DriveOf, reporting: ReportingStore) -> None:
    reporting.head_headers = lambda _: {"x-amz-checksum-crc64nvme": nvme(1)}
    drive = drive_of("aws")
    transfer = drive.upload(b"small")
    drive.finish(transfer)
    assert transfer.crc64 == ""
    assert Part.objects.get(transfer=transfer).crc64 == as_hex(crc("nvme", b"small"))
