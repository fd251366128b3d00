"""The parts of many uploads at a time, for the rows of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass

from django.db import connections

from uploads.domain.part_summary import PartSummary, summarize_parts
from uploads.models import Store
from uploads.objectstore import budget
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import PartsPage, UploadRef
from uploads.services.browse.browsing import provider_of
from uploads.services.stores.clients import client_for

THREADS = 4
"""Requests to the store at the same time."""

MOST_REQUESTS = 150
"""After so many requests no further upload is begun. An upload takes one request for each 1,000 parts."""

Outcome = PartSummary | ObjectStoreError | None
"""What is known of an upload; None if it was not looked at, because the others needed too many requests."""


def summarize_uploads(store: Store, bucket: str, uploads: Sequence[UploadRef]) -> list[Outcome]:
    """The parts of each upload, in numbers, in the same order. The error of one upload does not affect the others."""
    reader = _Reader(client_for(store), bucket, provider_of(store).min_part_size)
    page = budget.current()
    # All threads share the page's time: it runs from here on, and not from the request of one thread.
    with page.spending() if page else nullcontext():
        # The first alone: it notes that the store answers, so that the threads do not write to the database.
        first = [reader.read(upload) for upload in uploads[:1]]
        if len(uploads) < 2:
            return first
        with ThreadPoolExecutor(THREADS, thread_name_prefix="facts") as pool:
            futures = [pool.submit(copy_context().run, reader.read_in_thread, upload) for upload in uploads[1:]]
            return first + [future.result() for future in futures]


@dataclass(slots=True)
class _Reader:
    client: ObjectStoreClient
    bucket: str
    min_part_size: int
    requests: int = 0

    def read(self, upload: UploadRef) -> Outcome:
        if self.requests >= MOST_REQUESTS:
            return None
        try:
            parts = list(self.client.iter_parts(self.bucket, upload.key, upload.upload_id, seen=self._count))
        except ObjectStoreError as error:
            self.requests += 1
            return error
        return summarize_parts(parts, self.min_part_size)

    def read_in_thread(self, upload: UploadRef) -> Outcome:
        with _closing_connections():
            return self.read(upload)

    def _count(self, _page: PartsPage) -> None:
        self.requests += 1


@contextmanager
def _closing_connections() -> Iterator[None]:
    """A thread that notes a failure of the store opens a connection to the database, which ends with the thread."""
    try:
        yield
    finally:
        connections.close_all()
