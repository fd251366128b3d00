"""What a probe has made in a bucket, written down before and after each act; and its removal, whoever does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused

Name = tuple[str, str]
"""A key and an upload id, '' while the store has not told it; or a key and an object's version id, '' for none."""

MAX_FOUND = 200
"""Uploads under the scratch prefix that one cleaning looks up; a probe begins fewer."""

NOT_LOOKED_FOR = "It may have been begun: no answer told its upload id, and uploads could not be listed. {}"

GONE = frozenset({Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY, Reason.NO_SUCH_BUCKET})


def _nobody() -> None:
    """Nobody writes it down."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What could not be removed, and why."""

    kind: str
    key: str
    id: str
    why: str


@dataclass
class CreatedThings:
    """What is, or may be, in the bucket under the scratch prefix. `changed` is called after each change."""

    prefix: str
    uploads: list[Name] = field(default_factory=list)
    objects: list[Name] = field(default_factory=list)
    changed: Callable[[], None] = _nobody

    def upload_starting(self, key: str) -> None:
        """An upload of this key is about to be begun; its id is not known yet."""
        self._add(self.uploads, (key, ""))

    def upload_started(self, key: str, upload_id: str) -> None:
        self.uploads.remove((key, ""))
        self._add(self.uploads, (key, upload_id))

    def upload_found(self, key: str, upload_id: str) -> None:
        """An upload that turned up in a listing."""
        self._add(self.uploads, (key, upload_id))

    def upload_ended(self, key: str, upload_id: str) -> None:
        """The upload is surely gone."""
        self._drop(self.uploads, (key, upload_id))

    def object_starting(self, key: str) -> None:
        """An object of this key is about to be made."""
        self._add(self.objects, (key, ""))

    def object_created(self, key: str, version_id: str) -> None:
        """An object of this key was made; in a bucket that keeps versions, each has its id."""
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
        """Empty where nothing is there."""
        if self.is_empty:
            return {}
        return {"uploads": [list(name) for name in self.uploads], "objects": [list(name) for name in self.objects]}

    def load(self, fields: dict[str, Any]) -> None:
        """Take over what `as_json` gave."""
        self.uploads = [(key, upload_id) for key, upload_id in fields.get("uploads", [])]
        self.objects = [(key, version_id) for key, version_id in fields.get("objects", [])]

    def all_left(self, why: str) -> tuple[Leftover, ...]:
        """Everything, where none of it can be removed."""
        uploads = (Leftover("upload", key, upload_id, why) for key, upload_id in self.uploads)
        objects = (Leftover("object", key, version_id, why) for key, version_id in self.objects)
        return (*uploads, *objects)


def clean(client: ObjectStoreClient, bucket: str, created: CreatedThings) -> tuple[Leftover, ...]:
    """Abort and delete everything that is written down, and every upload under the scratch prefix besides.

    Each thing is tried, whatever became of the others; what could not be removed stays written down.
    """
    if created.is_empty:
        return ()
    unseen = _find_uploads(client, bucket, created)
    remover = _Remover()
    for key, upload_id in list(created.uploads):
        if not upload_id and key in unseen:
            remover.left.append(Leftover("upload", key, "", NOT_LOOKED_FOR.format(unseen[key])))
        # Else, without an id, it was not begun, or it is listed, and so has an entry of its own by now.
        elif not upload_id or remover.removes("upload", key, upload_id, client.abort_multipart_upload, bucket):
            created.upload_ended(key, upload_id)
    versioned = {key for key, version_id in created.objects if version_id}
    for key, version_id in list(created.objects):
        # Versions go by their ids, for good: without one a marker would be put on top of them.
        is_version = not version_id and key in versioned
        if is_version or remover.removes("object", key, version_id, client.delete_object, bucket):
            created.object_deleted(key, version_id)
    return tuple(remover.left)


class _Remover:
    """Removes one thing after the other; a store that is away is asked once."""

    def __init__(self) -> None:
        self.left: list[Leftover] = []
        self._away = ""

    def removes(self, kind: str, key: str, id_: str, remove: Callable[[str, str, str], None], bucket: str) -> bool:
        """Whether it is gone."""
        why = self._away
        if not why:
            try:
                remove(bucket, key, id_)
            except ObjectStoreError as error:
                if error.reason in GONE:
                    return True
                why = error.message
                self._away = "" if isinstance(error, Refused) else why
        if why:
            self.left.append(Leftover(kind, key, id_, why))
        return not why


def _find_uploads(client: ObjectStoreClient, bucket: str, created: CreatedThings) -> dict[str, str]:
    """Write down uploads of ours whose ids nobody has told: the process died, or the answer was lost.

    The keys of those that could not be looked for, each with the reason. A store that is away is asked once.
    """
    unknown = [key for key, upload_id in created.uploads if not upload_id]
    unseen: dict[str, str] = {}
    away = ""
    for prefix in dict.fromkeys([created.prefix, *unknown]):
        why = away
        if not why:
            try:
                found = list(_listed(client, bucket, prefix))
            except ObjectStoreError as error:
                if error.reason in GONE:
                    continue
                why = error.message
                away = "" if isinstance(error, Refused) else why
        if why:
            unseen[prefix] = why
            continue
        for key, upload_id in found:
            if key.startswith(created.prefix) or key in unknown:
                created.upload_found(key, upload_id)
    return unseen


def _listed(client: ObjectStoreClient, bucket: str, prefix: str) -> Iterator[Name]:
    found = 0
    for page in client.iter_multipart_uploads(bucket, prefix=prefix):
        yield from ((upload.key, upload.upload_id) for upload in page.uploads)
        found += len(page.uploads)
        if found >= MAX_FOUND:
            return
