"""Complete requests that must fail, that are repeated, and that must not replace an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import finding_of, is_fault
from uploads.objectstore.probing.parts import NO_SUCH_UPLOAD, sent_parts, upload_of_parts
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
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.types import CompletedPart
from uploads.objectstore.xml import completed_etag
from uploads.problems import Problem

WRONG_ETAG = "0" * 32


class _Consumed:
    """The check whose Complete succeeded although it should have been refused: the upload is gone then."""

    def __init__(self, _: Probe) -> None:
        self.by = ""


def _refusal(probe: Probe, check: str, parts: Sequence[CompletedPart]) -> Refused | None:
    """The refusal of completing the upload with these parts; None if it was completed."""
    consumed = probe.once(_Consumed)
    if consumed.by:
        raise NotTried(Problem(FindingCode.NEEDS_UPLOAD, check=consumed.by))
    upload = probe.once(upload_of_parts)
    try:
        completed_etag(probe.requester.complete(upload.key, upload.id, parts).body)
    except Refused as refused:
        if refused.is_denied:
            raise
        return refused
    consumed.by = check
    return None


def _part(probe: Probe, number: int) -> CompletedPart:
    return CompletedPart(number, etag_of(probe.once(sent_parts)[number]))


def _wrong_etag(probe: Probe) -> Finding:
    probe.once(sent_parts)
    refused = _refusal(probe, "wrong-etag", [CompletedPart(1, WRONG_ETAG)])
    if refused is None:
        return failed(FindingCode.WRONG_ETAG_ACCEPTED)
    return ok(FindingCode.WRONG_ETAG_REFUSED, code=refused.code)


def _wrong_order(probe: Probe) -> Finding:
    refused = _refusal(probe, "wrong-order", [_part(probe, 2), _part(probe, 1)])
    if refused is None:
        return differs(FindingCode.WRONG_ORDER_ACCEPTED)
    if refused.code == "InvalidPartOrder":
        return ok(FindingCode.WRONG_ORDER_REFUSED)
    return differs(FindingCode.WRONG_ORDER_REFUSED_OTHERWISE, code=refused.code)


def _too_small(probe: Probe) -> Finding:
    """All three parts have a few bytes."""
    refused = _refusal(probe, "too-small", [_part(probe, number) for number in (1, 2, 3)])
    if refused is None:
        return differs(FindingCode.SMALL_PARTS_ACCEPTED)
    if refused.code == "EntityTooSmall":
        return ok(FindingCode.SMALL_PARTS_REFUSED)
    return differs(FindingCode.SMALL_PARTS_REFUSED_OTHERWISE, code=refused.code)


def _aborted(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    try:
        completed_etag(probe.requester.complete(upload.key, upload.id, [CompletedPart(1, WRONG_ETAG)]).body)
    except Refused as refused:
        return _refusal_of_aborted(refused)
    return failed(FindingCode.ABORTED_UPLOAD_COMPLETED)


def _refusal_of_aborted(refused: Refused) -> Finding:
    if refused.code == NO_SUCH_UPLOAD:
        return ok(FindingCode.ENDED_UPLOAD_REFUSED, code=refused.code)
    if refused.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY}:
        return differs(FindingCode.ENDED_UPLOAD_CALLED_OTHERWISE, code=refused.code)
    if refused.status >= 500 or refused.reason is Reason.REFUSED:
        return differs(FindingCode.ABORTED_UPLOAD_UNCLEAR, code=refused.code, status=str(refused.status))
    return finding_of(refused)


def _aborted_over_object(probe: Probe) -> Finding:
    """An object with the key of the aborted upload exists: Versity treats this as a repeated Complete."""
    probe.once(completed)
    key = object_key(probe)
    upload_id = probe.requester.start_upload(key)
    probe.requester.abort(key, upload_id)
    try:
        reported = completed_etag(probe.requester.complete(key, upload_id, [CompletedPart(1, WRONG_ETAG)]).body)
    except Refused as refused:
        return _refusal_of_aborted(refused)
    if not probe.worked("head-object"):
        return failed(FindingCode.COMPLETED_OVER_UNSEEN_OBJECT)
    facts = probe.requester.client.head_object(probe.requester.bucket, key)
    if facts.size != len(DATA) or facts.etag == reported:
        return failed(FindingCode.COMPLETED_OVER_CHANGED_OBJECT)
    return differs(FindingCode.COMPLETED_OVER_OBJECT)


def _repeated(probe: Probe) -> Finding:
    upload, part = probe.once(completed_upload), probe.once(completed_part)
    try:
        completed_etag(probe.requester.complete(upload.key, upload.id, [CompletedPart(1, etag_of(part))]).body)
    except Refused as refused:
        if refused.code == NO_SUCH_UPLOAD:
            return ok(FindingCode.SECOND_COMPLETE_REFUSED)
        return differs(FindingCode.SECOND_COMPLETE_REFUSED_OTHERWISE, code=refused.code)
    return ok(FindingCode.SECOND_COMPLETE_SUCCEEDS)


# An object that must not be replaced


def _forbidding(probe: Probe) -> tuple[str, dict[str, str]]:
    """The mechanism to test, as the profile names it, and its header."""
    known = probe.profile.forbid_overwrite
    mechanism = known or ("x-oss-forbid-overwrite" if probe.requester.config.signature == "oss4" else "if-none-match")
    header = {"x-oss-forbid-overwrite": "true"} if mechanism.startswith("x-oss") else {"If-None-Match": "*"}
    return mechanism, header


def _forbid(probe: Probe) -> Finding:
    """Both requests that create an object must keep an existing one, and create one where there is none."""
    mechanism, header = _forbidding(probe)
    by_put = _keeps(partial(_put, probe, header))
    by_complete = _keeps(partial(_complete, probe, header))
    finding = _kept_by(mechanism, by_put, by_complete)
    if probe.requester.version_of(probe.once(put)):
        # OSS documentation, PutObject: no effect there. Such a bucket shows nothing about the store's others.
        return replace(finding, details=(Problem(FindingCode.BUCKET_KEEPS_VERSIONS),), flag=None)
    return finding


def _kept_by(mechanism: str, by_put: bool, by_complete: bool) -> Finding:
    if by_put and by_complete:
        return ok(FindingCode.OBJECT_KEPT, ("forbid_overwrite", mechanism), header=mechanism)
    if by_put:
        code = FindingCode.OBJECT_KEPT_BY_PUT_ONLY
    else:
        code = FindingCode.OBJECT_KEPT_BY_COMPLETE_ONLY if by_complete else FindingCode.OBJECT_NOT_KEPT
    return differs(code, ("forbid_overwrite", ""), header=mechanism)


def _keeps(create: Callable[[], None]) -> bool:
    """Whether an object can be created the first time, and not the second time."""
    for exists in (False, True):
        try:
            create()
        except Refused as refused:
            if refused.is_denied or is_fault(refused):
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
ENDED = ("complete", "abort")

CHECKS = (
    Check("wrong-etag", Group.COMPLETION, _wrong_etag, PARTS),
    Check("wrong-order", Group.COMPLETION, _wrong_order, PARTS),
    Check("too-small", Group.COMPLETION, _too_small, PARTS),
    Check("complete-ended", Group.COMPLETION, _aborted, ENDED),
    Check("complete-over", Group.COMPLETION, _aborted_over_object, ENDED),
    Check("repeated", Group.COMPLETION, _repeated, ("complete",)),
    Check("forbid-overwrite", Group.COMPLETION, _forbid, (*ENDED, "put-object", "delete-object")),
)
