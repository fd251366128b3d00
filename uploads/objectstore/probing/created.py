"""What a probe has created in a bucket, recorded before and after each request; and its removal, by any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown, Reason
from uploads.objectstore.probing.failures import recorded
from uploads.problems import Code, Problem, RecordedError, mapping_or_empty, problems_from_json

Name = tuple[str, str]
"""A key and an upload id, '' until the store reports it; or a key and an object's version id, '' for none."""

MAX_FOUND = 200
"""Uploads under the scratch prefix that one clean-up looks up; a probe starts fewer."""

MAX_ABORTS = 4

GONE = frozenset({Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.NO_SUCH_BUCKET})


def _do_nothing(*_: object) -> None:
    """Record the change nowhere."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What could not be removed, and why."""

    kind: str
    key: str
    id: str
    error: RecordedError

    def as_json(self) -> dict[str, Any]:
        error = {
            "reason": self.error.reason,
            "params": dict(self.error.params),
            "details": [each.as_json() for each in self.error.details],
            "store_message": self.error.store_message,
        }
        return {"kind": self.kind, "key": self.key, "id": self.id, "error": error}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Leftover:
        """Read what `as_json` returned. Rows stored before errors had codes have a text, in `why`."""
        stored = fields.get("error")
        stored = stored if isinstance(stored, Mapping) else {}
        error = RecordedError(
            code="",
            reason=stored.get("reason", ""),
            params=mapping_or_empty(stored.get("params")),
            details=problems_from_json(stored.get("details", ())),
            store_message=stored.get("store_message", fields.get("why", "")),
        )
        return cls(fields.get("kind", ""), fields.get("key", ""), fields.get("id", ""), error)


@dataclass
class CreatedThings:
    """What exists, or may exist, in the bucket under the scratch prefix.

    `ended` is called with each upload that certainly no longer exists, and whether it was completed; `changed` after
    each change.
    """

    prefix: str
    uploads: list[Name] = field(default_factory=list)
    objects: list[Name] = field(default_factory=list)
    ended: Callable[[str, str, bool], None] = _do_nothing
    changed: Callable[[], None] = _do_nothing

    def upload_starting(self, key: str) -> None:
        """An upload with this key is about to start; its id is not known yet."""
        self._add(self.uploads, (key, ""))

    def upload_started(self, key: str, upload_id: str) -> None:
        self.uploads.remove((key, ""))
        self._add(self.uploads, (key, upload_id))

    def upload_found(self, key: str, upload_id: str) -> None:
        """An upload appeared in a listing."""
        self._add(self.uploads, (key, upload_id))

    def upload_ended(self, key: str, upload_id: str, *, is_completed: bool = False) -> None:
        """The upload certainly no longer exists."""
        if upload_id:
            self.ended(key, upload_id, is_completed)
        self._drop(self.uploads, (key, upload_id))

    def object_starting(self, key: str) -> None:
        """An object with this key is about to be created."""
        self._add(self.objects, (key, ""))

    def object_created(self, key: str, version_id: str) -> None:
        """An object with this key was created; in a bucket that keeps versions, each version has an id."""
        if version_id:
            self._add(self.objects, (key, version_id))

    def object_deleted(self, key: str, version_id: str) -> None:
        self._drop(self.objects, (key, version_id))

    def _add(self, names: list[Name], name: Name) -> None:
        if name not in names:
            names.append(name)
            self.changed()

    def _drop(self, names: list[Name], name: Name) -> None:
        if name in names:
            names.remove(name)
            self.changed()

    @property
    def is_empty(self) -> bool:
        return not self.uploads and not self.objects

    def as_json(self) -> dict[str, list[list[str]]]:
        """Empty if nothing exists."""
        if self.is_empty:
            return {}
        return {"uploads": [list(name) for name in self.uploads], "objects": [list(name) for name in self.objects]}

    def load(self, fields: dict[str, Any]) -> None:
        """Replace the contents by what `as_json` returned."""
        self.uploads = [(key, upload_id) for key, upload_id in fields.get("uploads", [])]
        self.objects = [(key, version_id) for key, version_id in fields.get("objects", [])]

    def as_leftovers(self, why: Problem) -> tuple[Leftover, ...]:
        """Everything, where none of it can be removed."""
        error = RecordedError(code=why.code, reason=why.code, params=why.params)
        uploads = (Leftover("upload", key, upload_id, error) for key, upload_id in self.uploads)
        objects = (Leftover("object", key, version_id, error) for key, version_id in self.objects)
        return (*uploads, *objects)


def clean(client: ObjectStoreClient, bucket: str, created: CreatedThings) -> tuple[Leftover, ...]:
    """Abort and delete everything that is recorded, and every other upload under the scratch prefix.

    A failure does not stop the rest. What could not be removed stays recorded.
    """
    if created.is_empty:
        return ()
    not_found = _find_uploads(client, bucket, created)
    remover = _Remover(bucket)
    for key, upload_id in list(created.uploads):
        if not upload_id and key in not_found:
            remover.leftovers.append(Leftover("upload", key, "", _may_exist(not_found[key])))
        # Otherwise an upload without an id was never started, or the listing has given it an entry with its id.
        elif not upload_id or remover.remove("upload", key, upload_id, partial(_abort, client)):
            created.upload_ended(key, upload_id)
    versioned = {key for key, version_id in created.objects if version_id}
    for key, version_id in list(created.objects):
        # Versions are deleted by their ids: without one, a delete marker would be added.
        is_version = not version_id and key in versioned
        if is_version or remover.remove("object", key, version_id, client.delete_object):
            created.object_deleted(key, version_id)
    return tuple(remover.leftovers)


def _may_exist(error: ObjectStoreError) -> RecordedError:
    listing = recorded(error)
    return RecordedError(
        code="", reason=Code.UPLOAD_MAY_EXIST, details=listing.details, store_message=listing.store_message
    )


def is_gone(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> bool:
    """Whether an upload that was aborted has ended: some stores keep parts, and the upload, after a first abort.

    Some list no parts of an upload that has ended. Without permission for ListParts or ListMultipartUploads, the
    response to the abort has to suffice.
    """
    try:
        if not client.list_parts(bucket, key, upload_id, max_parts=1).parts:
            return not client.is_listed(bucket, key, upload_id)
    except ObjectStoreError as error:
        if error.reason in GONE or error.is_denied:
            return True
        raise
    return False


def _abort(client: ObjectStoreClient, bucket: str, key: str, upload_id: str) -> None:
    """Abort until the upload is gone. An abort that finds no upload ends it, even if its parts are still listed."""
    for _ in range(MAX_ABORTS):
        client.abort_multipart_upload(bucket, key, upload_id)
        if is_gone(client, bucket, key, upload_id):
            return
    problem = Problem(Code.STILL_LISTED, count=MAX_ABORTS)
    raise ObjectStoreError(problem, reason=Reason.REFUSED, operation="AbortMultipartUpload")


class _Remover:
    """Removes one thing after another; an unavailable store gets one request only."""

    def __init__(self, bucket: str) -> None:
        self.leftovers: list[Leftover] = []
        self._bucket = bucket
        self._unavailable: ObjectStoreError | None = None

    def remove(self, kind: str, key: str, id_: str, request: Callable[[str, str, str], None]) -> bool:
        """Whether it no longer exists."""
        error = self._unavailable or self._error_of(request, key, id_)
        if error is None:
            return True
        self._unavailable = error if isinstance(error, NotSent | OutcomeUnknown) else None
        self.leftovers.append(Leftover(kind, key, id_, recorded(error)))
        return False

    def _error_of(self, request: Callable[[str, str, str], None], key: str, id_: str) -> ObjectStoreError | None:
        try:
            request(self._bucket, key, id_)
        except ObjectStoreError as error:
            return None if error.reason in GONE else error
        return None


def _find_uploads(client: ObjectStoreClient, bucket: str, created: CreatedThings) -> dict[str, ObjectStoreError]:
    """Record uploads of ours whose ids are unknown because the process died or the response was lost.

    Returns the prefixes that could not be listed, each with the error. An unavailable store gets one request only.
    """
    unknown = [key for key, upload_id in created.uploads if not upload_id]
    errors: dict[str, ObjectStoreError] = {}
    unavailable: ObjectStoreError | None = None
    for prefix in dict.fromkeys([created.prefix, *unknown]):
        if unavailable is not None:
            errors[prefix] = unavailable
            continue
        try:
            found = list(_listed(client, bucket, prefix))
        except ObjectStoreError as error:
            if error.reason not in GONE:
                errors[prefix] = error
                unavailable = error if isinstance(error, NotSent | OutcomeUnknown) else None
            continue
        for key, upload_id in found:
            if key.startswith(created.prefix) or key in unknown:
                created.upload_found(key, upload_id)
    return errors


def _listed(client: ObjectStoreClient, bucket: str, prefix: str) -> Iterator[Name]:
    found = 0
    for page in client.iter_multipart_uploads(bucket, prefix=prefix):
        yield from ((upload.key, upload.upload_id) for upload in page.uploads)
        found += len(page.uploads)
        if found >= MAX_FOUND:
            return
