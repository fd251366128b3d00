"""Uploads created by Partway that are missing from a page of the store's listing.

A listing can be incomplete: MinIO omits uploads whose parts still exist. No request is sent to the store: the row of
such an upload checks later, by ListParts, whether the upload still exists.
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
"""Uploads, and folders, that one page shows in addition to those that the store lists."""

SETTLING = timedelta(seconds=5)
"""An upload created so shortly before the request may be missing because listings lag or clocks differ."""

CHUNK = 500
"""Rows held in memory at a time."""

T = TypeVar("T")

NEEDED = ("upload_id", "state", "created_at", "transfer__key", "transfer__storage_class")


@dataclass(frozen=True, slots=True)
class OwnUpload:
    """An upload as a listing would show it. `possible_orphan`: it is not known whether a transfer created it."""

    upload: MultipartUpload
    transfer_id: uuid.UUID
    possible_orphan: bool


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What is missing from a page.

    `more`: there is more than is shown. `elsewhere`: an unordered listing may have it on another page.
    """

    uploads: tuple[OwnUpload, ...] = ()
    prefixes: tuple[str, ...] = ()
    more: bool = False
    elsewhere: bool = False


def find_unlisted(
    store: Store, bucket: str, query: UploadsQuery, page: UploadsPage, requested_at: datetime
) -> Unlisted:
    """What this page, requested at `requested_at`, leaves out.

    Called after the store has responded: completions in the meantime are recorded by then.
    """
    span = span_of(page, (query.key_marker, query.upload_id_marker), provider_of(store))
    if span is None:
        return Unlisted()
    within = _narrowed(query.prefix, span)
    if within is None:
        return Unlisted()
    missing = _Missing(query, page, span)
    for row in _open_uploads(store, bucket, within, requested_at - SETTLING).iterator(CHUNK):
        missing.add(row)
    return Unlisted(
        tuple(map(_own, missing.uploads.found)),
        tuple(missing.folders.found),
        more=missing.uploads.more or missing.folders.more,
        elsewhere=span.order == "none" and bool(query.key_marker or query.upload_id_marker),
    )


class _Missing:
    """Collects the uploads and folders that belong on a page and are not listed there."""

    def __init__(self, query: UploadsQuery, page: UploadsPage, span: Span) -> None:
        self.uploads = _First[StoreUpload](
            lambda row: (place(span.order, row.transfer.key, row.upload_id), row.upload_id, row.pk)
        )
        self.folders = _First(as_bytes)
        self._query, self._page, self._span = query, page, span
        self._listed = {(upload.key, upload.upload_id) for upload in page.uploads}

    def add(self, row: StoreUpload) -> None:
        key, query = row.transfer.key, self._query
        folder = common_prefix(key, query.prefix, query.delimiter)
        if folder and folder not in self._page.common_prefixes and self._span.holds_folder(folder, key, row.upload_id):
            self.folders.add(folder)
        belongs = not folder and key.startswith(query.prefix) and self._span.holds(key, row.upload_id)
        if belongs and (key, row.upload_id) not in self._listed:
            self.uploads.add(row)


class _First(Generic[T]):
    """The first MAX_UNLISTED of the distinct items that are added, by a sort key."""

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
    """The longest prefix that all keys of the span have; None if none of them can have the requested prefix.

    A key between two others in key order has their common prefix.
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
    """Uploads that transfers created before that time and that have not ended and are not being ended.

    If the database ignores case, so does the prefix.
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
    """The row was written when the store responded, just after the upload was initiated."""
    upload = MultipartUpload(row.transfer.key, row.upload_id, row.created_at, storage_class=row.transfer.storage_class)
    return OwnUpload(upload, row.transfer_id, row.state == StoreUploadState.SUSPECT)
