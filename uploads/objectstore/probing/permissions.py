"""Each permission, tested by the smallest request that needs it. One upload tests what needs no further request."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, ok
from uploads.objectstore.refusals import Response
from uploads.objectstore.types import CompletedPart, ObjectFacts, PartsPage
from uploads.objectstore.xml import completed_etag

DATA = b"a part of a store check"


@dataclass(frozen=True, slots=True)
class Upload:
    key: str
    id: str


def etag_of(response: Response) -> str:
    return response.etag


# An object


def object_key(probe: Probe) -> str:
    """The only key on which objects are created before it is known that they can be deleted."""
    return probe.prefix + "object"


def put(probe: Probe) -> Response:
    return probe.requester.put_object(object_key(probe), DATA)


def put_head(probe: Probe) -> ObjectFacts:
    """HEAD of the object that PutObject created."""
    return probe.requester.client.head_object(probe.requester.bucket, object_key(probe))


def _put(probe: Probe) -> Finding:
    probe.once(put)
    return ok(FindingCode.OBJECT_PUT)


def _head(probe: Probe) -> Finding:
    probe.once(put_head)
    return ok(FindingCode.OBJECT_INSPECTED)


def _delete(probe: Probe) -> Finding:
    """Delete by version id where the bucket keeps versions: otherwise only a delete marker would be added."""
    key, version_id = object_key(probe), probe.requester.version_of(probe.once(put))
    probe.requester.client.delete_object(probe.requester.bucket, key, version_id)
    for name in {version_id, ""}:
        probe.requester.created.object_deleted(key, name)
    return ok(FindingCode.OBJECT_DELETED)


# An upload that is aborted


def first_upload(probe: Probe) -> Upload:
    key = probe.prefix + "upload"
    return Upload(key, probe.requester.start_upload(key))


def first_part(probe: Probe) -> Response:
    upload = probe.once(first_upload)
    return probe.requester.send_part(upload.key, upload.id, 1, DATA)


def first_parts(probe: Probe) -> PartsPage:
    upload = probe.once(first_upload)
    return probe.requester.client.list_parts(probe.requester.bucket, upload.key, upload.id)


def _create(probe: Probe) -> Finding:
    probe.once(first_upload)
    return ok(FindingCode.UPLOAD_STARTED)


def _upload_part(probe: Probe) -> Finding:
    probe.once(first_part)
    return ok(FindingCode.PART_SENT)


def _list_parts(probe: Probe) -> Finding:
    probe.once(first_parts)
    return ok(FindingCode.PARTS_LISTED)


def _abort(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    if probe.requester.abort(upload.key, upload.id):
        return ok(FindingCode.UPLOAD_ABORTED)
    return differs(FindingCode.UPLOAD_STAYS_AFTER_ABORT)


# An upload that is completed


def completed_upload(probe: Probe) -> Upload:
    key = object_key(probe)
    return Upload(key, probe.requester.start_upload(key))


def completed_part(probe: Probe) -> Response:
    upload = probe.once(completed_upload)
    return probe.requester.send_part(upload.key, upload.id, 1, DATA)


def completed(probe: Probe) -> Response:
    """Complete an upload of one small part, which every store accepts."""
    upload, part = probe.once(completed_upload), probe.once(completed_part)
    return probe.requester.complete(upload.key, upload.id, [CompletedPart(1, etag_of(part))])


def completed_head(probe: Probe) -> ObjectFacts:
    probe.once(completed)
    return probe.requester.client.head_object(probe.requester.bucket, object_key(probe))


def _complete(probe: Probe) -> Finding:
    completed_etag(probe.once(completed).body)
    return ok(FindingCode.UPLOAD_COMPLETED)


def is_there(probe: Probe, key: str) -> bool:
    """Whether an object with this key certainly exists: without permission to list, a missing one is refused, too."""
    try:
        probe.requester.client.head_object(probe.requester.bucket, key)
    except Refused as refused:
        if refused.is_denied or refused.reason is Reason.NO_SUCH_KEY:
            return False
        raise
    return True


CHECKS = (
    Check("put-object", Group.PERMISSIONS, _put, ("bucket",)),
    Check("head-object", Group.PERMISSIONS, _head, ("put-object",)),
    Check("delete-object", Group.PERMISSIONS, _delete, ("put-object",)),
    Check("create", Group.PERMISSIONS, _create, ("bucket",)),
    Check("upload-part", Group.PERMISSIONS, _upload_part, ("create",)),
    Check("list-parts", Group.PERMISSIONS, _list_parts, ("create",)),
    Check("abort", Group.PERMISSIONS, _abort, ("create",)),
    Check("complete", Group.PERMISSIONS, _complete, ("create", "upload-part")),
)
