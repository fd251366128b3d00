"""Repairs what stores get wrong in a page of ListMultipartUploads: a listing contains everything once. Pure."""

from __future__ import annotations

from dataclasses import replace

from uploads.objectstore.listing.order import Span, is_by_key, with_rows_in_order
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage


def tidy(page: UploadsPage, after: Marker, provider: Provider) -> UploadsPage:
    """The page that was requested `after` these markers, without repeats and with markers for the next page.

    Some stores repeat the marker's own upload. Some treat a key marker without an upload id as inclusive, unlike the
    API. Some send no markers with a truncated page, or only one: then the markers of its last upload replace them. With
    `prefixes_ahead` every page names the common prefixes of all later uploads: each prefix is kept only on the page
    whose span contains it.
    """
    page = with_rows_in_order(page, provider)
    onward = page.onward if page.is_truncated else (page.next_key_marker, page.next_upload_id_marker)
    prefixes = tuple(dict.fromkeys(page.common_prefixes))
    if provider.prefixes_ahead and is_by_key(provider.order):
        span = Span(provider.order, after, onward if page.is_truncated else None)
        prefixes = tuple(filter(span.holds_prefix, prefixes))
    return replace(
        page,
        uploads=_once(page.uploads, after),
        common_prefixes=prefixes,
        next_key_marker=onward[0],
        next_upload_id_marker=onward[1],
    )


def _once(uploads: tuple[MultipartUpload, ...], after: Marker) -> tuple[MultipartUpload, ...]:
    named = {(upload.key, upload.upload_id): upload for upload in uploads}
    if after[1]:
        return tuple(upload for upload in named.values() if not _is_at(after, upload))
    return tuple(upload for upload in named.values() if upload.key != after[0])


def _is_at(after: Marker, upload: MultipartUpload) -> bool:
    """Whether the markers are those of the upload: an upload id without a key is enough."""
    return upload.upload_id == after[1] and after[0] in ("", upload.key)
