"""Complete where it should not succeed, where it did already, and where an object must not be replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.parts import sent_parts, upload_of_parts
from uploads.objectstore.probing.permissions import (
    DATA,
    Upload,
    completed,
    completed_part,
    completed_upload,
    etag_of,
    first_upload,
    object_key,
    put,
)
from uploads.objectstore.probing.probe import CannotTry, Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.types import CompletedPart
from uploads.objectstore.xml import completed_etag

WRONG_ETAG = "0" * 32


class _Consumed:
    """Whether Complete took what it should have refused: then the upload is no more."""

    def __init__(self, _: Probe) -> None:
        self.by = ""


def _try(probe: Probe, name: str, parts: Sequence[CompletedPart]) -> Refused | None:
    """The refusal of completing the upload with parts; None where it was completed."""
    consumed = probe.once(_Consumed)
    if consumed.by:
        raise CannotTry(f"the upload for it was completed by “{consumed.by}”")
    upload = probe.once(upload_of_parts)
    try:
        completed_etag(probe.requester.complete(upload.key, upload.id, parts).body)
    except Refused as refused:
        if refused.reason is Reason.PERMISSION:
            raise
        return refused
    consumed.by = name
    return None


def _part(probe: Probe, number: int) -> CompletedPart:
    return CompletedPart(number, etag_of(probe.once(sent_parts)[number]))


def _wrong_etag(probe: Probe) -> Finding:
    probe.once(sent_parts)
    refused = _try(probe, "Complete with a wrong ETag", [CompletedPart(1, WRONG_ETAG)])
    if refused is None:
        return failed("A part's ETag is not looked at.", "Compare size and ETag of what was completed.")
    return ok(f"It is refused with {refused.code}.")


def _wrong_order(probe: Probe) -> Finding:
    refused = _try(probe, "Complete in a wrong order", [_part(probe, 2), _part(probe, 1)])
    if refused is None:
        return differs("Parts in a wrong order are accepted.", "Partway names them in ascending order.")
    if refused.code == "InvalidPartOrder":
        return ok("It is refused with InvalidPartOrder.")
    return differs(
        f"It is refused with {refused.code} instead of InvalidPartOrder.", "Nothing is made of it either way."
    )


def _too_small(probe: Probe) -> Finding:
    """All three, of a few bytes each."""
    refused = _try(probe, "Complete of too small parts", [_part(probe, number) for number in (1, 2, 3)])
    if refused is None:
        return differs("Parts of a few bytes are accepted.", "Partway makes parts of the profile's size anyway.")
    if refused.code == "EntityTooSmall":
        return ok("It is refused with EntityTooSmall.")
    return differs(f"It is refused with {refused.code} instead of EntityTooSmall.", "Preflight says it before.")


def _ended(probe: Probe) -> Finding:
    """Of an upload that was aborted."""
    upload = probe.once(first_upload)
    try:
        completed_etag(probe.requester.complete(upload.key, upload.id, [CompletedPart(1, WRONG_ETAG)]).body)
    except Refused as refused:
        return _refusal_of_ended(refused)
    return failed("Completing an upload that was aborted is called a success.", "Trust only what HEAD proves.")


def _refusal_of_ended(refused: Refused) -> Finding:
    if refused.code == "NoSuchUpload":
        return ok("It is refused with NoSuchUpload.")
    if refused.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY}:
        return differs(f"It is refused with {refused.code} instead of NoSuchUpload.", "It is read as the same.")
    if refused.status >= 500 or refused.reason is Reason.REFUSED:
        said = f"It is refused with {refused.code} ({refused.status}) instead of NoSuchUpload."
        return differs(said, "HEAD then tells whether the object was made.")
    return finding_of(refused)


def _ended_over(probe: Probe) -> Finding:
    """Of an upload that was aborted, where an object of its key is: Versity takes it for a repeated Complete."""
    probe.once(completed)
    key = object_key(probe)
    upload_id = probe.requester.start_upload(key)
    probe.requester.abort(key, upload_id)
    try:
        told = completed_etag(probe.requester.complete(key, upload_id, [CompletedPart(1, WRONG_ETAG)]).body)
    except Refused as refused:
        return _refusal_of_ended(refused)
    said = "Completing an upload that was aborted is called a success, as an object of its key is there."
    if not probe.worked("head-object"):
        return failed(said, "Look at the object itself: HEAD is not allowed here.")
    facts = probe.requester.client.head_object(probe.requester.bucket, key)
    if facts.size != len(DATA) or facts.etag == told:
        return failed(f"{said} It is not the one that was there.", "Trust no completion of this store.")
    return differs(said, "A completion is called verified only where HEAD shows the ETag that Complete named.")


def _repeated(probe: Probe) -> Finding:
    upload, part = probe.once(completed_upload), probe.once(completed_part)
    try:
        completed_etag(probe.requester.complete(upload.key, upload.id, [CompletedPart(1, etag_of(part))]).body)
    except Refused as refused:
        if refused.code == "NoSuchUpload":
            return ok("A second time it is refused with NoSuchUpload: HEAD tells that the first one succeeded.")
        said = f"A second time it is refused with {refused.code}."
        return differs(said, "HEAD tells that the first one succeeded.")
    return ok("A second time it is called a success again.")


# An object that must not be replaced

VERSIONED = "This bucket keeps versions: that says nothing of the store's other buckets."


def _forbidding(probe: Probe) -> tuple[str, dict[str, str]]:
    """The way in which it is tried, as the profile names it, and its header."""
    known = probe.profile.forbid_overwrite
    way = known or ("x-oss-forbid-overwrite" if probe.requester.config.signature == "oss4" else "if-none-match")
    return way, {"x-oss-forbid-overwrite": "true"} if way.startswith("x-oss") else {"If-None-Match": "*"}


def _forbid(probe: Probe) -> Finding:
    """Both requests that make an object have to keep the one that is there, and to make one where there is none."""
    way, header = _forbidding(probe)
    by_put = _keeps(partial(_put, probe, header))
    by_complete = _keeps(partial(_complete, probe, header))
    found = _kept_by(way, by_put, by_complete)
    if probe.once(put).named("version-id"):
        # OSS documentation, PutObject: no effect there. One such bucket says nothing of the store's others.
        return replace(found, said=f"{found.said} {VERSIONED}", flag=None)
    return found


def _kept_by(way: str, by_put: bool, by_complete: bool) -> Finding:
    if by_put and by_complete:
        return ok(f"With {way} an object of the same key is kept.", ("forbid_overwrite", way))
    advice = "A file that comes while another of its key is being sent may replace it."
    if by_put or by_complete:
        said = f"With {way} only {'PutObject' if by_put else 'Complete'} keeps an object of the same key."
    else:
        said = f"With {way} no object of the same key is kept, or none is made at all."
    return differs(said, advice, ("forbid_overwrite", ""))


def _keeps(make: Callable[[], None]) -> bool:
    """Whether an object can be made the first time, and not a second time."""
    for exists in (False, True):
        try:
            make()
        except Refused as refused:
            if refused.reason in {Reason.PERMISSION, Reason.THROTTLED}:
                raise
            return exists and refused.reason is Reason.EXISTS
    return False


def _put(probe: Probe, header: dict[str, str]) -> None:
    probe.requester.put_object(probe.prefix + "put-once", DATA, headers=header)


def _complete(probe: Probe, header: dict[str, str]) -> None:
    key = probe.prefix + "completed-once"
    upload = Upload(key, probe.requester.start_upload(key))
    part = probe.requester.send_part(key, upload.id, 1, DATA)
    completed_etag(probe.requester.complete(key, upload.id, [CompletedPart(1, etag_of(part))], header).body)


PARTS = ("create", "upload-part", "abort", "complete", "delete-object")
DONE = ("complete", "abort")
MADE = (*DONE, "put-object", "delete-object")

CHECKS = (
    Check("wrong-etag", "Complete with a wrong ETag", Group.COMPLETION, _wrong_etag, PARTS),
    Check("wrong-order", "Complete in a wrong order", Group.COMPLETION, _wrong_order, PARTS),
    Check("too-small", "Complete of too small parts", Group.COMPLETION, _too_small, PARTS),
    Check("complete-ended", "Complete of an aborted upload", Group.COMPLETION, _ended, DONE),
    Check("complete-over", "Complete of an aborted upload over an object", Group.COMPLETION, _ended_over, DONE),
    Check("repeated", "Complete a second time", Group.COMPLETION, _repeated, ("complete",)),
    Check("forbid-overwrite", "An object that must not be replaced", Group.COMPLETION, _forbid, MADE),
)
