"""Fills the demo bucket on the first start with uploads in progress as real buckets have them, through the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice

_In = TypeVar("_In")
_Out = TypeVar("_Out")

MIB = 1024**2
SMALLEST = 5 * MIB
"""The smallest part that the store accepts when it completes an upload, except for the last part."""

THREADS = 8

MANY_PARTS_KEY = "video/masters/feature-film.mxf"
GAP_KEY = "backups/2026-10/archive-with-a-gap.tar"
READY_KEY = "exports/ready-to-complete.csv"
TOO_SMALL_KEY = "logs/parts-too-small.log"
SHARED_KEYS = {"backups/nightly.tar": 5, "video/raw/interview.mov": 3, "exports/customers.csv": 2}
AWKWARD_KEYS = (
    "exports/annual report 2026.pdf",
    "exports//double//slash.csv",
    "mail/inbox+archive.mbox",
    "photos/Zürich/Käse & Brot.jpg",
    "photos/東京/夜景 01.raw",
    "photos/🎞 holiday.mov",
    "logs/100% sure?.txt",
    "logs/ticket#4711.txt",
)


@dataclass(frozen=True, slots=True)
class PlannedUpload:
    """An upload in progress. `parts` maps part numbers to sizes in bytes."""

    key: str
    content_type: str
    parts: dict[int, int]


@dataclass(frozen=True, slots=True)
class PlannedObject:
    key: str
    size: int


def planned_objects() -> list[PlannedObject]:
    """A few objects. One has the key of the upload that is ready to complete, which would replace it."""
    return [
        PlannedObject(READY_KEY, 2 * MIB),
        PlannedObject("exports/customers.csv", 64 * 1024),
        PlannedObject("backups/2026-09/db-30.dump", MIB),
        PlannedObject("photos/Zürich/Käse & Brot.jpg", 300 * 1024),
        PlannedObject("exports/empty.csv", 0),
    ]


def planned_uploads() -> list[PlannedUpload]:
    """Every upload in progress of the demo bucket, in the order in which they are created."""
    return [*_series(), *_shared(), *_remarkable(), *(_upload(key, 1) for key in AWKWARD_KEYS)]


def _series() -> Iterator[PlannedUpload]:
    """Uploads that daily jobs leave behind: most have no part, some have one or two."""
    names = [f"backups/2026-09/db-{day:02}.dump" for day in range(1, 31)]
    names += [f"backups/2026-10/db-{day:02}.dump" for day in range(1, 32)]
    names += [f"exports/weekly/2026-w{week:02}.csv" for week in range(1, 48)]
    names += [f"logs/web-{host}/2026-11-{day:02}.log.gz" for host in (1, 2, 3, 4) for day in range(1, 24)]
    names += [f"video/raw/clip-{number:04}.mov" for number in range(1, 97)]
    for index, key in enumerate(names):
        yield _upload(key, index % 7 if index % 7 < 3 else 0)


def _shared() -> Iterator[PlannedUpload]:
    """Several attempts at the same key, each with one part more than the one before."""
    for key, attempts in SHARED_KEYS.items():
        for count in range(attempts):
            yield _upload(key, count)


def _remarkable() -> Iterator[PlannedUpload]:
    many = {number: 100 + number % 7 for number in range(1, 1051)}
    yield PlannedUpload(MANY_PARTS_KEY, "application/mxf", many)
    yield PlannedUpload(GAP_KEY, "application/x-tar", {1: SMALLEST, 2: SMALLEST, 4: MIB})
    yield PlannedUpload(READY_KEY, "text/csv", {1: SMALLEST, 2: SMALLEST, 3: MIB})
    yield PlannedUpload(TOO_SMALL_KEY, "text/plain", dict.fromkeys(range(1, 4), 1024))


def _upload(key: str, parts: int) -> PlannedUpload:
    types = {"csv": "text/csv", "gz": "application/gzip", "mov": "video/quicktime", "pdf": "application/pdf"}
    content_type = types.get(key.rsplit(".", maxsplit=1)[-1], "application/octet-stream")
    return PlannedUpload(key, content_type, {number: 4096 * number for number in range(1, parts + 1)})


Progress = Callable[[int, int], None]
"""A function that takes the number of requests that are done and their total."""


@dataclass(frozen=True, slots=True)
class _Existing:
    """An upload in the store, and the numbers of its parts."""

    upload_id: str
    numbers: frozenset[int] = frozenset()


def seed(client: ObjectStoreClient, bucket: str, scratch: Path, progress: Progress) -> None:
    """Fill the bucket with what is planned. Uploads and parts of an interrupted attempt are used, not created again.

    `scratch` is the path of a file for the bytes to send. It is deleted afterwards.
    """
    scratch.write_bytes(bytes(range(256)) * (SMALLEST // 256))
    pool = ThreadPoolExecutor(THREADS)
    try:
        _Seeding(client, bucket, scratch, pool, progress).run()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        scratch.unlink()


class _Seeding:
    def __init__(
        self, client: ObjectStoreClient, bucket: str, scratch: Path, pool: Executor, progress: Progress
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._scratch = scratch
        self._pool = pool
        self._progress = progress
        self._done = 0

    def run(self) -> None:
        uploads = planned_uploads()
        objects = planned_objects()
        self._total = 2 * len(uploads) + len(objects)
        created = self._each(self._create, self._matched_with_existing(uploads))
        # One task for each part: otherwise one thread would send the upload with a thousand parts alone.
        parts = [(upload, at, number) for upload, at in created for number in upload.parts if number not in at.numbers]
        self._total = len(uploads) + len(parts) + len(objects)
        self._each(self._send, parts)
        self._each(self._put, objects)

    def _matched_with_existing(self, uploads: list[PlannedUpload]) -> list[tuple[PlannedUpload, _Existing | None]]:
        """Pair planned with existing uploads of the same key, those with most parts first, so that all parts fit."""
        existing = self._existing_uploads()
        matched: list[tuple[PlannedUpload, _Existing | None]] = []
        for upload in sorted(uploads, key=lambda each: -len(each.parts)):
            waiting = existing.get(upload.key)
            matched.append((upload, waiting.pop() if waiting else None))
        return matched

    def _existing_uploads(self) -> dict[str, list[_Existing]]:
        existing = defaultdict(list)
        for page in self._client.iter_multipart_uploads(self._bucket):
            for listed in page.uploads:
                parts = self._client.iter_parts(self._bucket, listed.key, listed.upload_id)
                existing[listed.key].append(_Existing(listed.upload_id, frozenset(part.number for part in parts)))
        for created in existing.values():
            created.sort(key=lambda each: len(each.numbers))
        return existing

    def _create(self, pair: tuple[PlannedUpload, _Existing | None]) -> tuple[PlannedUpload, _Existing]:
        upload, created = pair
        if created is not None:
            return upload, created
        upload_id = self._client.create_multipart_upload(self._bucket, upload.key, content_type=upload.content_type)
        return upload, _Existing(upload_id)

    def _send(self, part: tuple[PlannedUpload, _Existing, int]) -> None:
        upload, created, number = part
        body = FileSlice(self._scratch, 0, upload.parts[number])
        self._client.upload_part(self._bucket, upload.key, created.upload_id, number, body)

    def _put(self, planned: PlannedObject) -> None:
        body = FileSlice(self._scratch, 0, planned.size) if planned.size else None
        self._client.put_object(self._bucket, planned.key, body)

    def _each(self, do: Callable[[_In], _Out], todo: Iterable[_In]) -> list[_Out]:
        results = []
        for future in as_completed([self._pool.submit(do, each) for each in todo]):
            results.append(future.result())
            self._done += 1
            self._progress(self._done, self._total)
        return results
