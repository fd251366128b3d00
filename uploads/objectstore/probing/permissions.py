"""Each permission, by the smallest act that needs it. What may be begun and not ended is found out with one upload."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.probing.probe import Check, Probe
from uploads.objectstore.probing.results import Finding, Group, ok
from uploads.objectstore.refusals import Response
from uploads.objectstore.types import CompletedPart, ObjectFacts, PartsPage
from uploads.objectstore.xml import completed_etag, unquoted

DATA = b"a part of a store check"


@dataclass(frozen=True, slots=True)
class Upload:
    key: str
    id: str


def etag_of(answer: Response) -> str:
    return unquoted(answer.headers.get("etag", ""))


# An object


def object_key(probe: Probe) -> str:
    """The one key on which objects are made where they may not be deleted again."""
    return probe.prefix + "object"


def put(probe: Probe) -> Response:
    return probe.requester.put_object(object_key(probe), DATA)


def put_head(probe: Probe) -> ObjectFacts:
    """HEAD of what PutObject made."""
    return probe.requester.client.head_object(probe.requester.bucket, object_key(probe))


def _put(probe: Probe) -> Finding:
    probe.once(put)
    return ok("Small files may be sent.")


def _head(probe: Probe) -> Finding:
    probe.once(put_head)
    return ok("Objects may be looked at.")


def _delete(probe: Probe) -> Finding:
    """The version that was put, where the bucket keeps versions: else only a marker would be put on top of it."""
    key, version_id = object_key(probe), probe.once(put).named("version-id")
    probe.requester.client.delete_object(probe.requester.bucket, key, version_id)
    for name in {version_id, ""}:
        probe.requester.created.object_deleted(key, name)
    return ok("Objects may be deleted: this check cleans up after itself.")


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
    return ok("Uploads may be begun.")


def _upload_part(probe: Probe) -> Finding:
    probe.once(first_part)
    return ok("Parts may be sent.")


def _list_parts(probe: Probe) -> Finding:
    probe.once(first_parts)
    return ok("Parts may be listed.")


def _abort(probe: Probe) -> Finding:
    upload = probe.once(first_upload)
    probe.requester.abort(upload.key, upload.id)
    return ok("Uploads may be aborted.")


# An upload that is completed


def completed_upload(probe: Probe) -> Upload:
    key = object_key(probe)
    return Upload(key, probe.requester.start_upload(key))


def completed_part(probe: Probe) -> Response:
    upload = probe.once(completed_upload)
    return probe.requester.send_part(upload.key, upload.id, 1, DATA)


def completed(probe: Probe) -> Response:
    """Complete of an upload with one small part, which every store takes."""
    upload, part = probe.once(completed_upload), probe.once(completed_part)
    return probe.requester.complete(upload.key, upload.id, [CompletedPart(1, etag_of(part))])


def completed_head(probe: Probe) -> ObjectFacts:
    probe.once(completed)
    return probe.requester.client.head_object(probe.requester.bucket, object_key(probe))


def _complete(probe: Probe) -> Finding:
    completed_etag(probe.once(completed).body)
    return ok("Uploads may be completed.")


def is_there(probe: Probe, key: str) -> bool:
    """Whether there surely is an object of this key: without leave to list, HEAD of none is refused like a real one."""
    try:
        probe.requester.client.head_object(probe.requester.bucket, key)
    except Refused as refused:
        if refused.reason in {Reason.NO_SUCH_KEY, Reason.PERMISSION}:
            return False
        raise
    return True


CHECKS = (
    Check("put-object", "PutObject", Group.PERMISSIONS, _put, ("bucket",)),
    Check("head-object", "HeadObject", Group.PERMISSIONS, _head, ("put-object",)),
    Check("delete-object", "DeleteObject", Group.PERMISSIONS, _delete, ("put-object",)),
    Check("create", "CreateMultipartUpload", Group.PERMISSIONS, _create, ("bucket",)),
    Check("upload-part", "UploadPart", Group.PERMISSIONS, _upload_part, ("create",)),
    Check("list-parts", "ListParts", Group.PERMISSIONS, _list_parts, ("create",)),
    Check("abort", "AbortMultipartUpload", Group.PERMISSIONS, _abort, ("create",)),
    Check("complete", "CompleteMultipartUpload", Group.PERMISSIONS, _complete, ("create", "upload-part")),
)
