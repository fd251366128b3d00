"""Digests: what ETags are, whether a wrong Content-MD5 or CRC-64 is refused, and which CRC-64 the store reports."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from uploads.objectstore import checksums, xml
from uploads.objectstore.checksums import CRC64_HEADER, WHOLE_OBJECT, as_store_writes_it
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import is_fault
from uploads.objectstore.probing.parts import PARTS, SENT, all_parts, sent_parts, upload_of_parts
from uploads.objectstore.probing.permissions import (
    DATA,
    completed,
    completed_head,
    completed_part,
    etag_of,
    is_there,
    put,
    put_head,
)
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import CheckResult, Finding, Group, Verdict, differs, failed, ok
from uploads.objectstore.refusals import Response
from uploads.objectstore.types import CompletedPart
from uploads.problems import Problem

WRONG_MD5 = {"Content-MD5": base64.b64encode(hashlib.md5(b"other bytes", usedforsecurity=False).digest()).decode()}
WRONG_PART = 4

POLYNOMIALS = {"nvme": "CRC-64/NVME", "ecma": "CRC-64/ECMA"}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _part_etag(probe: Probe) -> Finding:
    """Of parts, and of an object sent by one PutObject."""
    responses = [(response, PARTS[number]) for number, response in probe.once(sent_parts).items()]
    if probe.worked("put-object"):
        responses.append((probe.once(put), DATA))
    if any(response.is_encrypted for response, _ in responses):
        return differs(FindingCode.ETAGS_ENCRYPTED)
    if all(etag_of(response).lower() == _md5(data) for response, data in responses):
        return ok(FindingCode.PART_ETAG_IS_MD5, ("etag_is_md5", True))
    return differs(FindingCode.PART_ETAG_IS_NOT_MD5, ("etag_is_md5", False))


def _completed_etag(probe: Probe) -> Finding:
    """The MD5 of the parts' MD5s, and their number."""
    reported = xml.completed_etag(probe.once(completed).body)
    stored = probe.once(completed_head).etag if probe.worked("head-object") else ""
    etag = (stored or reported).lower()
    if not etag:
        raise NotTried(Problem(FindingCode.COMPLETED_ETAG_MISSING))
    if probe.once(completed_part).is_encrypted:
        return differs(FindingCode.ETAGS_ENCRYPTED)
    joined = hashlib.md5(hashlib.md5(DATA, usedforsecurity=False).digest(), usedforsecurity=False).hexdigest() + "-1"
    if etag == joined:
        return ok(FindingCode.COMPLETED_ETAG_OF_PARTS, ("joined_etag", True))
    return differs(FindingCode.COMPLETED_ETAG_OTHERWISE, ("joined_etag", False))


def _complete_and_head(probe: Probe) -> Finding:
    reported, facts = xml.completed_etag(probe.once(completed).body), probe.once(completed_head)
    if facts.size != len(DATA):
        return failed(FindingCode.HEAD_SIZE_DIFFERS, size_bytes=facts.size, sent_bytes=len(DATA))
    if reported == facts.etag:
        return ok(FindingCode.HEAD_AGREES)
    if not reported:
        return differs(FindingCode.COMPLETE_WITHOUT_ETAG)
    return failed(FindingCode.HEAD_ETAG_DIFFERS)


def _crc64(probe: Probe) -> Finding:
    reported = _reported_crc64s(probe)
    if not reported:
        return ok(FindingCode.CRC64_ABSENT)
    if any(each.value != checksums.combine(each.algorithm, [_crc(each.algorithm)]) for each in reported):
        return failed(FindingCode.CRC64_WRONG)
    name = POLYNOMIALS[reported[0].algorithm]
    if reported[0].algorithm != probe.profile.crc64:
        return differs(FindingCode.CRC64_OF_OTHER_POLYNOMIAL, polynomial=name)
    return ok(FindingCode.CRC64_RIGHT, polynomial=name)


def _reported_crc64s(probe: Probe) -> list[checksums.ReportedCrc64]:
    """Of a part, of the completed object, and of an object sent by PutObject, as far as the store reports them."""
    values = [checksums.reported_crc64(probe.once(completed_part).headers)]
    if probe.worked("complete"):
        done = probe.once(completed)
        values.append(checksums.reported_crc64(done.headers) or xml.completed_crc64(done.body))
    if probe.worked("put-object"):
        values.append(checksums.reported_crc64(probe.once(put).headers))
    if probe.worked("head-object"):
        values.append(probe.once(put_head).crc64)
    return [value for value in values if value is not None]


def _crc(algorithm: checksums.Algorithm) -> tuple[int, int]:
    crc = checksums.Crc64(algorithm)
    crc.update(DATA)
    return crc.value, len(DATA)


def _wrong_part(probe: Probe) -> Finding:
    probe.once(sent_parts)
    upload = probe.once(upload_of_parts)
    try:
        probe.requester.send_part(upload.key, upload.id, WRONG_PART, b"bytes", wrong=WRONG_MD5)
    except Refused as refused:
        if probe.worked("list-parts") and any(part.number == WRONG_PART for part in probe.once(all_parts).parts):
            return failed(FindingCode.WRONG_MD5_PART_KEPT)
        return _mismatch(refused)
    if _etags_are_md5(probe):
        return differs(FindingCode.WRONG_MD5_PART_ACCEPTED)
    return failed(FindingCode.DAMAGED_PART_UNNOTICED)


def _wrong_object(probe: Probe) -> Finding:
    key = probe.prefix + "wrong"
    try:
        probe.requester.put_object(key, b"bytes", headers=WRONG_MD5)
    except Refused as refused:
        if probe.worked("head-object") and is_there(probe, key):
            probe.requester.created.object_starting(key)
            return failed(FindingCode.WRONG_MD5_OBJECT_KEPT)
        return _mismatch(refused)
    if _etags_are_md5(probe):
        return differs(FindingCode.WRONG_MD5_OBJECT_ACCEPTED)
    return failed(FindingCode.DAMAGED_OBJECT_UNNOTICED)


def _mismatch(refused: Refused) -> Finding:
    if refused.reason is Reason.DIGEST_MISMATCH:
        return ok(FindingCode.WRONG_MD5_REFUSED, code=refused.code)
    if refused.is_denied or refused.reason in {Reason.THROTTLED, Reason.STORE_FAULT, Reason.STORE_FULL}:
        raise refused
    return differs(FindingCode.WRONG_MD5_REFUSED_OTHERWISE, code=refused.code)


def _crc64_of_parts(probe: Probe) -> Finding:
    """An upload whose part is verified by its CRC-64, and what the store then reports of the object."""
    _require_nvme(probe)
    key, requester = probe.prefix + "crc64-parts", probe.requester
    value, _ = _crc("nvme")
    try:
        upload_id = requester.start_upload(key, checksum="crc64nvme")
        part = requester.send_part(key, upload_id, 1, DATA, checksum="crc64nvme")
    except Refused as refused:
        return _right_refused(refused)
    if not _reports(part, value):
        return differs(FindingCode.CRC64_NOT_REPORTED)
    try:
        requester.send_part(key, upload_id, 2, b"bytes", checksum="crc64nvme", wrong=_wrong_crc64())
    except Refused as refused:
        mismatch = refused
    else:
        return differs(FindingCode.WRONG_CRC64_ACCEPTED)
    whole = {CRC64_HEADER: as_store_writes_it("nvme", value), **WHOLE_OBJECT}
    requester.complete(key, upload_id, [CompletedPart(1, etag_of(part), value)], whole)
    return _verified(probe, key, value, mismatch)


def _crc64_of_object(probe: Probe) -> Finding:
    """The same for PutObject."""
    _require_nvme(probe)
    key, requester = probe.prefix + "crc64-object", probe.requester
    value, _ = _crc("nvme")
    try:
        requester.put_object(key, b"bytes", checksum="crc64nvme", headers=_wrong_crc64())
    except Refused as refused:
        mismatch = refused
    else:
        return differs(FindingCode.WRONG_CRC64_ACCEPTED)
    if is_there(probe, key):
        requester.created.object_starting(key)
        return failed(FindingCode.WRONG_CRC64_OBJECT_KEPT)
    try:
        sent = requester.put_object(key, DATA, checksum="crc64nvme")
    except Refused as refused:
        return _right_refused(refused)
    if not _reports(sent, value):
        return differs(FindingCode.CRC64_NOT_REPORTED)
    return _verified(probe, key, value, mismatch)


def _require_nvme(probe: Probe) -> None:
    if probe.profile.crc64 != "nvme" or probe.requester.config.signature != "sigv4":
        raise NotTried(Problem(FindingCode.CRC64_NOT_OF_PROVIDER))


def _wrong_crc64() -> dict[str, str]:
    value, _ = _crc("nvme")
    return {CRC64_HEADER: as_store_writes_it("nvme", value)}


def _reports(response: Response, value: int) -> bool:
    return checksums.reported_crc64(response.headers) == checksums.ReportedCrc64("nvme", value)


def _right_refused(refused: Refused) -> Finding:
    """A store refuses the right checksum, or the headers."""
    if refused.is_denied or is_fault(refused):
        raise refused
    return differs(FindingCode.CRC64_HEADER_REFUSED, code=refused.code)


def _verified(probe: Probe, key: str, value: int, mismatch: Refused) -> Finding:
    """A wrong CRC-64 was refused: with the right code, and does HEAD report the right one?"""
    if mismatch.is_denied or is_fault(mismatch):
        raise mismatch
    if mismatch.reason is not Reason.DIGEST_MISMATCH:
        return differs(FindingCode.WRONG_CRC64_REFUSED_OTHERWISE, code=mismatch.code)
    facts = probe.requester.client.head_object(probe.requester.bucket, key, with_checksum=True)
    if facts.crc64 != checksums.ReportedCrc64("nvme", value):
        return differs(FindingCode.CRC64_NOT_REPORTED)
    return ok(FindingCode.CRC64_VERIFIED, code=mismatch.code)


def verifies_crc64(results: Iterable[CheckResult]) -> bool | None:
    """Whether a check has proved that the store verifies the CRC-64 of bodies; None if it shows neither.

    Both ways to send a file count: a store may verify parts, and ignore the checksum of PutObject.
    """
    found = [result for result in results if result.name in CRC64_CHECKS]
    if any(result.verdict in (Verdict.DIFFERS, Verdict.FAILED) for result in found):
        return False
    is_proved = {result.name for result in found if result.verdict is Verdict.OK} == CRC64_CHECKS
    return True if is_proved else None


def _etags_are_md5(probe: Probe) -> bool:
    """Whether the ETag still shows which bytes arrived in a store that does not verify Content-MD5."""
    return probe.verdicts.get("part-etag") == "ok"


CHECKS = (
    Check("part-etag", Group.DIGESTS, _part_etag, SENT),
    Check("completed-etag", Group.DIGESTS, _completed_etag, ("complete",)),
    Check("head-etag", Group.DIGESTS, _complete_and_head, ("complete", "head-object")),
    Check("crc64", Group.DIGESTS, _crc64, ("complete",)),
    Check("md5-part", Group.DIGESTS, _wrong_part, SENT),
    Check("md5-object", Group.DIGESTS, _wrong_object, ("put-object", "delete-object")),
    Check("crc64-part", Group.DIGESTS, _crc64_of_parts, (*SENT, "complete", "head-object", "delete-object")),
    Check("crc64-object", Group.DIGESTS, _crc64_of_object, ("put-object", "head-object", "delete-object")),
)

CRC64_CHECKS = frozenset({"crc64-part", "crc64-object"})
