"""What a probe has made in a bucket, written down before and after each act; and its removal, whoever does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason

Name = tuple[str, str]
"""A key and an upload id, '' while the store has not told it; or a key and an object's version id, '' for none."""

MAX_FOUND = 200
"""Uploads under the scratch prefix that one cleaning looks up; a probe begins fewer."""


def _nobody() -> None:
    """Nobody writes it down."""


@dataclass
class Made:
    """What is, or may be, in the bucket under the scratch prefix. `changed` is called after each change."""

    prefix: str
    uploads: list[Name] = field(default_factory=list)
    objects: list[Name] = field(default_factory=list)
    changed: Callable[[], None] = _nobody

    def begins(self, key: str) -> None:
        """An upload of this key is about to be begun; its id is not known yet."""
        self._add(self.uploads, (key, ""))

    def begun(self, key: str, upload_id: str) -> None:
        self.uploads.remove((key, ""))
        self._add(self.uploads, (key, upload_id))

    def ended(self, key: str, upload_id: str) -> None:
        """The upload is surely gone."""
        self._drop(self.uploads, (key, upload_id))

    def puts(self, key: str) -> None:
        """An object of this key is about to be made."""
        self._add(self.objects, (key, ""))

    def put(self, key: str, version_id: str) -> None:
        """An object of this key was made; in a bucket that keeps versions, each has its id."""
        if version_id:
            self._add(self.objects, (key, version_id))

    def deleted(self, key: str, version_id: str) -> None:
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
        return {"uploads": [list(name) for name in self.uploads], "objects": [list(name) for name in self.objects]}

    def take(self, fields: dict[str, Any]) -> None:
        """Take over what `as_json` gave."""
        self.uploads = [(key, upload_id) for key, upload_id in fields.get("uploads", [])]
        self.objects = [(key, version_id) for key, version_id in fields.get("objects", [])]


@dataclass(frozen=True, slots=True)
class Leftover:
    """What could not be removed, and why."""

    kind: str
    key: str
    id: str
    why: str


def clean(client: ObjectStoreClient, bucket: str, made: Made) -> tuple[Leftover, ...]:
    """Abort and delete everything that is written down, and every upload under the scratch prefix besides.

    Each thing is tried, whatever became of the others; what could not be removed stays written down.
    """
    if made.is_empty:
        return ()
    _find_uploads(client, bucket, made)
    return (*_abort_all(client, bucket, made), *_delete_all(client, bucket, made))


def _find_uploads(client: ObjectStoreClient, bucket: str, made: Made) -> None:
    """Write down uploads of ours whose ids nobody has told: the process died, or the answer was lost."""
    unknown = [key for key, upload_id in made.uploads if not upload_id]
    for prefix in dict.fromkeys([made.prefix, *unknown]):
        with suppress(ObjectStoreError):
            for key, upload_id in _listed(client, bucket, prefix):
                if key.startswith(made.prefix) or key in unknown:
                    made._add(made.uploads, (key, upload_id))


def _listed(client: ObjectStoreClient, bucket: str, prefix: str) -> Iterator[Name]:
    found = 0
    for page in client.iter_multipart_uploads(bucket, prefix=prefix):
        for upload in page.uploads:
            yield upload.key, upload.upload_id
        found += len(page.uploads)
        if found >= MAX_FOUND:
            return


def _abort_all(client: ObjectStoreClient, bucket: str, made: Made) -> list[Leftover]:
    left = []
    for key, upload_id in list(made.uploads):
        try:
            if upload_id:
                client.abort_multipart_upload(bucket, key, upload_id)
        except ObjectStoreError as error:
            if error.reason not in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.NO_SUCH_BUCKET}:
                left.append(Leftover("upload", key, upload_id, error.message))
                continue
        made.ended(key, upload_id)
    return left


def _delete_all(client: ObjectStoreClient, bucket: str, made: Made) -> list[Leftover]:
    """Versions by their ids, for good; a key without one only where no version of it is known."""
    left = []
    versioned = {key for key, version_id in made.objects if version_id}
    for key, version_id in list(made.objects):
        try:
            if version_id or key not in versioned:
                client.delete_object(bucket, key, version_id)
        except ObjectStoreError as error:
            if error.reason not in {Reason.NO_SUCH_KEY, Reason.NO_SUCH_BUCKET}:
                left.append(Leftover("object", key, version_id, error.message))
                continue
        made.deleted(key, version_id)
    return left
