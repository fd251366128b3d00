"""Uploads that were begun here and that a page of the store's listing should hold, but does not.

A listing may lie: MinIO's forgets uploads whose parts are still there. Nothing is asked of the store here: whether such
an upload is still there, its row asks later by ListParts.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Generic, TypeVar

from django.db.models import Q, QuerySet

from uploads.domain.states import LIVE_PHASES, DesiredState, Phase, StoreUploadState
from uploads.models import Store, StoreUpload
from uploads.objectstore.listing.folders import common_prefix
from uploads.objectstore.listing.order import Span, as_bytes, place, span_of
from uploads.objectstore.types import MultipartUpload, UploadsPage, UploadsQuery
from uploads.services.browse.browsing import provider_of

MAX_UNLISTED = 200
"""Uploads, and folders, that one page shows beside the store's own."""

SETTLING = timedelta(seconds=5)
"""Before the page was asked for: what was begun later may have missed it, by a late listing or by two clocks."""

CHUNK = 500
"""Rows that are in memory at a time."""

T = TypeVar("T")

NEEDED = ("upload_id", "state", "created_at", "transfer__key", "transfer__storage_class")


@dataclass(frozen=True, slots=True)
class OwnUpload:
    """An upload as a listing would have it. `suspected`: a transfer may have begun it, and nobody knows."""

    upload: MultipartUpload
    transfer_id: uuid.UUID
    suspected: bool


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What is missing from a page. `more`: it was cut; `elsewhere`: perhaps other pages, of no order, have it."""

    uploads: tuple[OwnUpload, ...] = ()
    prefixes: tuple[str, ...] = ()
    more: bool = False
    elsewhere: bool = False


def find_unlisted(store: Store, bucket: str, asked: UploadsQuery, page: UploadsPage, asked_at: datetime) -> Unlisted:
    """What this page, asked for at that time, leaves out.

    To be called when the store has answered: what was completed meanwhile is known by then.
    """
    span = span_of(page, (asked.key_marker, asked.upload_id_marker), provider_of(store))
    if span is None:
        return Unlisted()
    within = _narrowed(asked.prefix, span)
    if within is None:
        return Unlisted()
    listed = {(upload.key, upload.upload_id) for upload in page.uploads}
    missing = _First[StoreUpload](
        lambda row: (place(span.order, row.transfer.key, row.upload_id), row.upload_id, row.pk)
    )
    folders = _First(as_bytes)
    for row in _open_uploads(store, bucket, within, asked_at - SETTLING).iterator(CHUNK):
        key = row.transfer.key
        folder = common_prefix(key, asked.prefix, asked.delimiter)
        if folder and span.holds_prefix(folder) and folder not in page.common_prefixes:
            folders.add(folder)
        belongs = not folder and key.startswith(asked.prefix) and span.holds(key, row.upload_id)
        if belongs and (key, row.upload_id) not in listed:
            missing.add(row)
    return Unlisted(
        tuple(map(_own, missing.found)),
        tuple(folders.found),
        more=missing.more or folders.more,
        elsewhere=span.order == "none" and bool(asked.key_marker),
    )


class _First(Generic[T]):
    """The first of what is added, each once, by a sort key; memory for MAX_UNLISTED, however many come."""

    def __init__(self, by: Callable[[T], Any]) -> None:
        self.found: list[T] = []
        self.more = False
        self._by = by

    def add(self, each: T) -> None:
        where = self._by(each)
        index = bisect_left(self.found, where, key=self._by)
        if index < len(self.found) and self._by(self.found[index]) == where:
            return
        self.more = self.more or len(self.found) == MAX_UNLISTED
        if index < MAX_UNLISTED:
            self.found.insert(index, each)
            del self.found[MAX_UNLISTED:]


def _narrowed(prefix: str, span: Span) -> str | None:
    """The longest prefix that all keys of the span have; None if none of them can begin with the prefix asked for.

    In the order of keys, what stands between two of them begins with what these have in common.
    """
    if span.order != "key" or span.onward is None:
        return prefix
    shared = "".join(one for one, _ in takewhile(_are_equal, zip(span.after[0], span.onward[0], strict=False)))
    if prefix.startswith(shared):
        return prefix
    return shared if shared.startswith(prefix) else None


def _are_equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


def _open_uploads(store: Store, bucket: str, prefix: str, before: datetime) -> QuerySet[StoreUpload]:
    """Uploads that transfers began by then, and whose end has neither been confirmed nor is being worked on.

    Where the database ignores case, so does the prefix.
    """
    ending = Q(transfer__phase=Phase.COMPLETING) | Q(transfer__desired_state=DesiredState.CANCEL)
    rows = StoreUpload.objects.filter(
        state__in=(StoreUploadState.OPEN, StoreUploadState.SUSPECT),
        created_at__lt=before,
        transfer__store=store,
        transfer__bucket=bucket,
        transfer__key__startswith=prefix,
    )
    rows = rows.exclude(ending, transfer__phase__in=LIVE_PHASES).order_by()
    return rows.select_related("transfer").only(*NEEDED)


def _own(row: StoreUpload) -> OwnUpload:
    """Its row was written when the store had answered, a moment after the upload was initiated."""
    upload = MultipartUpload(row.transfer.key, row.upload_id, row.created_at, storage_class=row.transfer.storage_class)
    return OwnUpload(upload, row.transfer_id, row.state == StoreUploadState.SUSPECT)
