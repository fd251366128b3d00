"""Fills the demo bucket on the first start with uploads in progress as real buckets have them, through the API.

The bucket looks as if it had been used for almost a year. The store itself has these dates: the seeding client names
the date of each request, and the embedded store keeps it. `live.py` is the client that is still sending.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.refusals import Response
from uploads.objectstore.transport import Call
from uploads.objectstore.types import FileSlice, StoreConfig

_In = TypeVar("_In")
_Out = TypeVar("_Out")

MIB = 1024**2
SMALLEST = 5 * MIB
"""The smallest part that the store accepts when it completes an upload, except for the last part."""

THREADS = 8

MANY_PARTS_KEY = "video/masters/feature-film.mxf"
GAP_KEY = "backups/2026-10/archive-with-a-gap.tar"
READY_KEY = "exports/ready-to-complete.csv"
"""To rescue: all of its parts are there, and only the completion is missing."""
SUPERSEDED_KEY = "exports/customers.csv"
"""To abort: the object was written later in another way, so that its uploads are of no use."""
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
    """An upload in progress. `parts` maps part numbers to sizes in bytes; `age` is how long ago it was created."""

    key: str
    content_type: str
    parts: dict[int, int]
    age: timedelta = timedelta(days=1)

    def age_of(self, number: int) -> timedelta:
        """How long ago a part arrived: one a minute after the upload was created."""
        return max(timedelta(), self.age - timedelta(minutes=number))


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """An object, and how long ago it was written."""

    key: str
    size: int
    age: timedelta


def planned_objects() -> list[PlannedObject]:
    """A few objects. One has the key of the upload that is ready to complete, which would replace it."""
    return [
        PlannedObject(READY_KEY, 2 * MIB, timedelta(days=33)),
        PlannedObject(SUPERSEDED_KEY, 64 * 1024, timedelta(days=2)),
        PlannedObject("backups/2026-09/db-30.dump", MIB, timedelta(days=59)),
        PlannedObject("photos/Zürich/Käse & Brot.jpg", 300 * 1024, timedelta(days=200)),
        PlannedObject("exports/empty.csv", 0, timedelta(days=90)),
    ]


def planned_uploads() -> list[PlannedUpload]:
    """Every upload in progress of the demo bucket, in the order in which they are created."""
    awkward = [_upload(key, 1, timedelta(days=12 * number)) for number, key in enumerate(AWKWARD_KEYS, start=1)]
    return [*_series(), *_shared(), *_remarkable(), *awkward]


def _series() -> Iterator[PlannedUpload]:
    """Uploads that jobs leave behind: most have no part, some have one or two. The last clips are from today."""
    day, hour = timedelta(days=1), timedelta(hours=1)
    dated = [(f"backups/2026-09/db-{number:02}.dump", (90 - number) * day) for number in range(1, 31)]
    dated += [(f"backups/2026-10/db-{number:02}.dump", (60 - number) * day) for number in range(1, 32)]
    dated += [(f"exports/weekly/2026-w{week:02}.csv", (48 - week) * 7 * day) for week in range(1, 48)]
    for host in (1, 2, 3, 4):
        dated += [(f"logs/web-{host}/2026-11-{number:02}.log.gz", (25 - number) * day) for number in range(1, 24)]
    dated += [(f"video/raw/clip-{number:04}.mov", (97 - number) * 3 * hour) for number in range(1, 97)]
    for index, (key, age) in enumerate(dated):
        yield _upload(key, index % 7 if index % 7 < 3 else 0, age)


def _shared() -> Iterator[PlannedUpload]:
    """Several attempts at the same key, each with one part more than the one before, and a day later."""
    for key, attempts in SHARED_KEYS.items():
        for count in range(attempts):
            yield _upload(key, count, timedelta(days=3 + attempts - count))


def _remarkable() -> Iterator[PlannedUpload]:
    many = {number: 100 + number % 7 for number in range(1, 1051)}
    yield PlannedUpload(MANY_PARTS_KEY, "application/mxf", many, timedelta(days=2))
    yield PlannedUpload(GAP_KEY, "application/x-tar", {1: SMALLEST, 2: SMALLEST, 4: MIB}, timedelta(days=40))
    yield PlannedUpload(READY_KEY, "text/csv", {1: SMALLEST, 2: SMALLEST, 3: MIB}, timedelta(days=3))
    yield PlannedUpload(TOO_SMALL_KEY, "text/plain", dict.fromkeys(range(1, 4), 1024), timedelta(days=21))


def _upload(key: str, parts: int, age: timedelta) -> PlannedUpload:
    types = {"csv": "text/csv", "gz": "application/gzip", "mov": "video/quicktime", "pdf": "application/pdf"}
    content_type = types.get(key.rsplit(".", maxsplit=1)[-1], "application/octet-stream")
    return PlannedUpload(key, content_type, {number: 4096 * number for number in range(1, parts + 1)}, age)


class _DatedClient(ObjectStoreClient):
    """A client of the embedded store, whose requests can have a date of the past: the store keeps it."""

    _date = threading.local()

    @cached_property
    def _now(self) -> datetime:
        """One time for all ages, so that the dates do not depend on how long the requests take."""
        return datetime.now(UTC)

    @contextmanager
    def dated(self, age: timedelta) -> Iterator[None]:
        """The requests of this thread inside are of a time that long ago."""
        self._date.at = self._now - age
        try:
            yield
        finally:
            del self._date.at

    def _read(
        self,
        call: Call,
        reader: Callable[[Response], _Out],
        *,
        repeatable: bool = True,
        on_repeat: Callable[[ObjectStoreError], None] = lambda _: None,
    ) -> _Out:
        at: datetime | None = getattr(self._date, "at", None)
        if at is not None:
            call = replace(call, headers={**call.headers, "X-Timestamp": f"{at.timestamp():.5f}"})
        return super()._read(call, reader, repeatable=repeatable, on_repeat=on_repeat)


Progress = Callable[[int, int], None]
"""A function that takes the number of requests that are done and their total."""


@dataclass(frozen=True, slots=True)
class _Existing:
    """An upload in the store, and the numbers of its parts."""

    upload_id: str
    numbers: frozenset[int] = frozenset()


def seed(config: StoreConfig, bucket: str, scratch: Path, progress: Progress) -> None:
    """Fill the bucket of the embedded store with what is planned.

    Uploads and parts of an interrupted attempt are used, not created again. `scratch` is the path of a file for the
    bytes to send. It is deleted afterwards.
    """
    scratch.write_bytes(bytes(range(256)) * (SMALLEST // 256))
    pool = ThreadPoolExecutor(THREADS)
    with _DatedClient(config) as client:
        try:
            _Seeding(client, bucket, scratch, pool, progress).run()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            scratch.unlink()


class _Seeding:
    def __init__(self, client: _DatedClient, bucket: str, scratch: Path, pool: Executor, progress: Progress) -> None:
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
        with self._client.dated(upload.age):
            upload_id = self._client.create_multipart_upload(self._bucket, upload.key, content_type=upload.content_type)
        return upload, _Existing(upload_id)

    def _send(self, part: tuple[PlannedUpload, _Existing, int]) -> None:
        upload, created, number = part
        body = FileSlice(self._scratch, 0, upload.parts[number])
        with self._client.dated(upload.age_of(number)):
            self._client.upload_part(self._bucket, upload.key, created.upload_id, number, body)

    def _put(self, planned: PlannedObject) -> None:
        body = FileSlice(self._scratch, 0, planned.size) if planned.size else None
        with self._client.dated(planned.age):
            self._client.put_object(self._bucket, planned.key, body)

    def _each(self, do: Callable[[_In], _Out], todo: Iterable[_In]) -> list[_Out]:
        results = []
        for future in as_completed([self._pool.submit(do, each) for each in todo]):
            results.append(future.result())
            self._done += 1
            self._progress(self._done, self._total)
        return results
