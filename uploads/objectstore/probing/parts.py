"""Parts: replaced, paged, and requested for uploads that have ended."""

from __future__ import annotations

from dataclasses import replace

from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.permissions import Upload, first_upload
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.refusals import Response
from uploads.objectstore.types import MAX_PAGE, PartsPage

PARTS = {1: b"the first part, sent again", 2: b"the second", 3: b"and the third"}
REPLACED = b"the first part"

NO_SUCH_UPLOAD = "NoSuchUpload"


def upload_of_parts(probe: Probe) -> Upload:
    key = probe.prefix + "parts"
    return Upload(key, probe.requester.start_upload(key))


def sent_parts(probe: Probe) -> dict[int, Response]:
    """Send three parts, the first of them twice; the responses to the last request for each."""
    upload = probe.once(upload_of_parts)
    probe.requester.send_part(upload.key, upload.id, 1, REPLACED)
    return {number: probe.requester.send_part(upload.key, upload.id, number, data) for number, data in PARTS.items()}


def all_parts(probe: Probe) -> PartsPage:
    probe.once(sent_parts)
    return _page(probe)


def _page(probe: Probe, max_parts: int = MAX_PAGE, marker: int = 0) -> PartsPage:
    upload = probe.once(upload_of_parts)
    return probe.requester.client.list_parts(
        probe.requester.bucket, upload.key, upload.id, max_parts=max_parts, part_number_marker=marker
    )


def _replace(probe: Probe) -> Finding:
    sizes = [(part.number, part.size) for part in probe.once(all_parts).parts]
    if sizes == [(number, len(data)) for number, data in PARTS.items()]:
        return ok(FindingCode.PART_REPLACED, ("keeps_part_copies", False))
    if sorted(sizes) == sorted([(1, len(REPLACED)), *((number, len(data)) for number, data in PARTS.items())]):
        return differs(FindingCode.PART_LISTED_TWICE, ("keeps_part_copies", True))
    if (1, len(REPLACED)) in sizes:
        return failed(FindingCode.PART_NOT_REPLACED)
    if not sizes:
        return failed(FindingCode.PARTS_NOT_LISTED)
    return failed(FindingCode.PARTS_LISTED_WRONGLY, parts=[f"{number}: {size}" for number, size in sizes])


def _paging(probe: Probe) -> Finding:
    probe.once(all_parts)
    first = _page(probe, max_parts=1)
    marker = first.next_part_number_marker
    if not first.is_truncated and {part.number for part in first.parts} == set(PARTS):
        return differs(FindingCode.PARTS_ON_ONE_PAGE)
    if [part.number for part in first.parts] != [1] or not first.is_truncated or not marker:
        return failed(FindingCode.PARTS_PAGE_SIZE_IGNORED)
    second = _page(probe, max_parts=1, marker=marker)
    if [part.number for part in second.parts] == [2]:
        return ok(FindingCode.PARTS_PAGED)
    return failed(FindingCode.PARTS_PAGE_WRONG)


def _refusal_of_ended(refused: Refused) -> Finding:
    """What the refusal of a request for an ended upload shows."""
    if refused.code == NO_SUCH_UPLOAD:
        return ok(FindingCode.ENDED_UPLOAD_REFUSED, code=refused.code)
    if refused.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY}:
        return differs(FindingCode.ENDED_UPLOAD_CALLED_OTHERWISE, code=refused.code)
    return finding_of(refused, FindingCode.ENDED_UPLOAD_UNCLEAR)


def _list_ended(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    try:
        page = probe.requester.client.list_parts(probe.requester.bucket, upload.key, upload.id)
    except Refused as refused:
        return replace(_refusal_of_ended(refused), flag=("checks_upload_ids", True))
    if page.parts:
        return failed(FindingCode.ENDED_UPLOAD_LISTS_PARTS, count=len(page.parts))
    return differs(FindingCode.ENDED_UPLOAD_HAS_NO_PARTS, ("checks_upload_ids", False))


def _abort_ended(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    try:
        probe.requester.abort(upload.key, upload.id)
    except Refused as refused:
        return _refusal_of_ended(refused)
    return differs(FindingCode.ENDED_UPLOAD_ABORTED_AGAIN)


SENT = ("create", "upload-part", "abort")

CHECKS = (
    Check("replace", Group.PARTS, _replace, (*SENT, "list-parts")),
    Check("parts-paging", Group.PARTS, _paging, (*SENT, "list-parts")),
    Check("list-parts-ended", Group.PARTS, _list_ended, ("list-parts", "abort")),
    Check("abort-ended", Group.PARTS, _abort_ended, ("abort",)),
)
