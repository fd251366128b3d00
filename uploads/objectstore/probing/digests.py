"""Digests: what ETags are, whether a wrong Content-MD5 is refused, and what the store says of CRC-64."""

from __future__ import annotations

import hashlib

from uploads.objectstore import checksums, xml
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.parts import PARTS, all_parts, sent_parts, upload_of_parts
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
from uploads.objectstore.probing.probe import CannotTry, Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok

WRONG_MD5 = hashlib.md5(b"other bytes", usedforsecurity=False).digest()
WRONG_PART = 4


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _part_etag(probe: Probe) -> Finding:
    """Of parts, and of an object that was put at once."""
    answers = [(answer, PARTS[number]) for number, answer in probe.once(sent_parts).items()]
    if probe.worked("put-object"):
        answers.append((probe.once(put), DATA))
    if any(answer.is_encrypted for answer, _ in answers):
        return differs("The bucket encrypts by KMS: its ETags are not MD5s.", "They are not compared there.")
    if all(etag_of(answer).lower() == _md5(data) for answer, data in answers):
        return ok("The ETag of a part is the MD5 of its bytes.", ("etag_is_md5", True))
    said = "The ETag of a part is not the MD5 of its bytes."
    return differs(said, "ETags are not compared; Content-MD5 guards the bytes.", ("etag_is_md5", False))


def _completed_etag(probe: Probe) -> Finding:
    """The MD5 of the parts' MD5s, and their number."""
    told = xml.completed_etag(probe.once(completed).body)
    looked = probe.once(completed_head).etag if probe.worked("head-object") else ""
    etag = (looked or told).lower()
    if not etag:
        raise CannotTry("Complete told no ETag")
    if probe.once(completed_part).is_encrypted:
        return differs("The bucket encrypts by KMS: its ETags are not MD5s.", "They are not compared there.")
    joined = hashlib.md5(hashlib.md5(DATA, usedforsecurity=False).digest(), usedforsecurity=False).hexdigest() + "-1"
    if etag == joined:
        return ok("The ETag of a completed upload is made of its parts' MD5s.", ("joined_etag", True))
    said = "The ETag of a completed upload is not made of its parts' MD5s."
    return differs(said, "The object is known by its size and by Partway's mark on it.", ("joined_etag", False))


def _complete_and_head(probe: Probe) -> Finding:
    told, facts = xml.completed_etag(probe.once(completed).body), probe.once(completed_head)
    if facts.size != len(DATA):
        return failed(f"HEAD says {facts.size} bytes of {len(DATA)}.", "Do not rely on what this store completes.")
    if told == facts.etag:
        return ok("Complete and HEAD name the same ETag.")
    if not told:
        return differs("Complete names no ETag.", "HEAD's is taken.")
    return failed("Complete and HEAD name different ETags.", "HEAD's is taken: look what stands before the store.")


def _crc64(probe: Probe) -> Finding:
    answers = [probe.once(completed_part)]
    tellings = [checksums.reported_crc64(answer.headers) for answer in answers]
    if probe.worked("complete"):
        done = probe.once(completed)
        tellings.append(checksums.reported_crc64(done.headers) or xml.completed_crc64(done.body))
    if probe.worked("put-object"):
        tellings.append(checksums.reported_crc64(probe.once(put).headers))
    if probe.worked("head-object"):
        tellings.append(probe.once(put_head).crc64)
    told = [each for each in tellings if each is not None]
    if not told:
        return ok("The store tells no CRC-64: MD5 guards the bytes.")
    if any(each.value != checksums.combine(each.algorithm, [_crc(each.algorithm)]) for each in told):
        return failed("The store tells a CRC-64 that is not that of the bytes.", "Look what stands before the store.")
    name = {"nvme": "CRC-64/NVME", "ecma": "CRC-64/ECMA"}[told[0].algorithm]
    if told[0].algorithm != probe.profile.crc64:
        return differs(f"The store tells the bytes' {name}, not the profile's.", "It is not compared.")
    return ok(f"The store tells the bytes' {name}, and it is right.")


def _crc(algorithm: checksums.Algorithm) -> tuple[int, int]:
    made = checksums.Crc64(algorithm)
    made.update(DATA)
    return made.value, len(DATA)


def _wrong_part(probe: Probe) -> Finding:
    probe.once(sent_parts)
    upload = probe.once(upload_of_parts)
    try:
        probe.requester.send_part(upload.key, upload.id, WRONG_PART, b"bytes", md5=WRONG_MD5)
    except Refused as refused:
        if probe.worked("list-parts") and any(part.number == WRONG_PART for part in probe.once(all_parts).parts):
            return failed(
                "A part with a wrong Content-MD5 is refused, and yet kept.", "Look at parts before completing."
            )
        return _mismatch(refused)
    return _unnoticed(probe, "part")


def _wrong_object(probe: Probe) -> Finding:
    key = probe.prefix + "wrong"
    try:
        probe.requester.put_object(key, b"bytes", md5=WRONG_MD5)
    except Refused as refused:
        if probe.worked("head-object") and is_there(probe, key):
            probe.requester.created.object_starting(key)
            return failed("An object with a wrong Content-MD5 is refused, and yet made.", "Compare what is there.")
        return _mismatch(refused)
    return _unnoticed(probe, "object")


def _mismatch(refused: Refused) -> Finding:
    if refused.reason is Reason.DIGEST_MISMATCH:
        return ok(f"It is refused with {refused.code}, and nothing is kept.")
    if refused.reason in {Reason.PERMISSION, Reason.THROTTLED, Reason.STORE_FAULT}:
        raise refused
    return differs(f"It is refused with {refused.code} instead of BadDigest.", "Nothing is kept either way.")


def _unnoticed(probe: Probe, what: str) -> Finding:
    """A store that does not look at Content-MD5 may still tell by its ETag what has arrived."""
    said = f"A {what} with a wrong Content-MD5 is accepted."
    if probe.verdicts.get("part-etag") == "ok":
        return differs(said, "Damaged bytes are noticed by the ETag, and sent again.")
    return failed(said, "Bytes that were damaged on the way are not noticed: have the store use https.")


PARTS_SENT = ("create", "upload-part", "abort")

CHECKS = (
    Check("part-etag", "ETag of a part", Group.DIGESTS, _part_etag, PARTS_SENT),
    Check("completed-etag", "ETag of a completed upload", Group.DIGESTS, _completed_etag, ("complete",)),
    Check("head-etag", "HEAD after Complete", Group.DIGESTS, _complete_and_head, ("complete", "head-object")),
    Check("crc64", "CRC-64", Group.DIGESTS, _crc64, ("complete",)),
    Check("md5-part", "UploadPart with a wrong Content-MD5", Group.DIGESTS, _wrong_part, PARTS_SENT),
    Check(
        "md5-object",
        "PutObject with a wrong Content-MD5",
        Group.DIGESTS,
        _wrong_object,
        ("put-object", "delete-object"),
    ),
)
