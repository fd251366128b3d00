"""Parts: replaced, paged, and asked for where there are none."""

from __future__ import annotations

from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.permissions import Upload, first_upload
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.refusals import Response
from uploads.objectstore.types import PartsPage

PARTS = {1: b"the first part, sent again", 2: b"the second", 3: b"and the third"}
REPLACED = b"the first part"


def upload_of_parts(probe: Probe) -> Upload:
    key = probe.prefix + "parts"
    return Upload(key, probe.requester.start_upload(key))


def sent_parts(probe: Probe) -> dict[int, Response]:
    """Three parts, the first of which was sent twice; the answers to what was sent last."""
    upload = probe.once(upload_of_parts)
    probe.requester.send_part(upload.key, upload.id, 1, REPLACED)
    return {number: probe.requester.send_part(upload.key, upload.id, number, data) for number, data in PARTS.items()}


def all_parts(probe: Probe) -> PartsPage:
    probe.once(sent_parts)
    return _page(probe)


def _page(probe: Probe, max_parts: int = 1000, marker: int = 0) -> PartsPage:
    upload = probe.once(upload_of_parts)
    return probe.requester.client.list_parts(
        probe.requester.bucket, upload.key, upload.id, max_parts=max_parts, part_number_marker=marker
    )


def _replace(probe: Probe) -> Finding:
    sizes = [(part.number, part.size) for part in probe.once(all_parts).parts]
    if sizes == [(number, len(data)) for number, data in PARTS.items()]:
        return ok("A part that is sent again replaces the one of its number.")
    if (1, len(REPLACED)) in sizes:
        return failed("A part that is sent again does not replace the first one.", "Begin the upload anew instead.")
    return failed(f"Other parts are listed than were sent: {_sizes(sizes)}.", "Do not complete what is listed so.")


def _sizes(sizes: list[tuple[int, int]]) -> str:
    return ", ".join(f"number {number} of {size} bytes" for number, size in sizes) or "none"


def _paging(probe: Probe) -> Finding:
    probe.once(all_parts)
    first = _page(probe, max_parts=1)
    marker = first.next_part_number_marker
    if [part.number for part in first.parts] != [1] or not first.is_truncated or not marker:
        return failed("A page of one part is not one.", "Only the first 1,000 parts of an upload may be shown.")
    second = _page(probe, max_parts=1, marker=marker)
    if [part.number for part in second.parts] == [2]:
        return ok("Parts come page by page.")
    return failed("The second page of parts is not what follows.", "Only the first 1,000 parts may be shown.")


def gone(refused: Refused, code: str = "NoSuchUpload") -> Finding:
    """What a request for an upload that is no more was answered."""
    if refused.code == code:
        return ok(f"It is refused with {code}.")
    if refused.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY}:
        return differs(f"It is refused with {refused.code} instead of {code}.", "It is read as the same.")
    return finding_of(refused, "Whether an upload has ended is not told: look at the bucket.")


def _list_ended(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    try:
        page = probe.requester.client.list_parts(probe.requester.bucket, upload.key, upload.id)
    except Refused as refused:
        return gone(refused)
    said = f"An upload that was aborted still lists {len(page.parts)} parts."
    return failed(said, "Whether an upload has ended is not told: look at the bucket.")


def _abort_ended(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    try:
        probe.requester.abort(upload.key, upload.id)
    except Refused as refused:
        return gone(refused)
    return differs("Aborting an upload that is gone succeeds.", "It is taken for aborted.")


SENT = ("create", "upload-part", "abort")

CHECKS = (
    Check("replace", "A part sent again", Group.PARTS, _replace, (*SENT, "list-parts")),
    Check("parts-paging", "Pages of ListParts", Group.PARTS, _paging, (*SENT, "list-parts")),
    Check("list-parts-ended", "ListParts of an ended upload", Group.PARTS, _list_ended, ("list-parts", "abort")),
    Check("abort-ended", "Abort of an ended upload", Group.PARTS, _abort_ended, ("abort",)),
)
