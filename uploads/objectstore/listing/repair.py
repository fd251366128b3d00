"""What stores get wrong about a page of ListMultipartUploads, put right: a listing holds everything once. Pure."""

from __future__ import annotations

from dataclasses import replace

from uploads.objectstore.listing.order import Span
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage


def tidy(page: UploadsPage, after: Marker, provider: Provider) -> UploadsPage:
    """The page that was asked for `after` these markers, without repeats and with markers to go on from.

    Some stores repeat the marker's own upload, some take a key marker alone for inclusive, which the API does not, and
    some give no markers for a truncated page, or only one: then those of its last upload serve. With `prefixes_ahead`
    the store names the common prefixes of all that follows, on every page: each is kept on the one page between whose
    markers it lies.
    """
    onward = page.onward if page.is_truncated else (page.next_key_marker, page.next_upload_id_marker)
    prefixes = tuple(dict.fromkeys(page.common_prefixes))
    if provider.prefixes_ahead:
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
        named.pop(after, None)
        return tuple(named.values())
    return tuple(upload for upload in named.values() if upload.key != after[0])
