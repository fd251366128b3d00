"""What stores get wrong about a page of ListMultipartUploads, put right: a listing holds everything once. Pure."""

from __future__ import annotations

from dataclasses import replace

from uploads.objectstore.types import MultipartUpload, UploadsPage

Marker = tuple[str, str]
"""A key marker and an upload id marker."""


def tidy(page: UploadsPage, after: Marker, *, prefixes_ahead: bool) -> UploadsPage:
    """The page that was asked for `after` these markers, without repeats and with markers to go on from.

    Some stores repeat the marker's own upload, and some give no markers for a truncated page: then those of its last
    upload serve. With `prefixes_ahead` the store names the common prefixes of all that follows, on every page: each is
    kept on the one page between whose markers it lies.
    """
    uploads = _once(page.uploads, after)
    onward = (page.next_key_marker, page.next_upload_id_marker)
    if page.is_truncated and not page.next_key_marker and uploads:
        onward = (uploads[-1].key, uploads[-1].upload_id)
    prefixes = tuple(dict.fromkeys(page.common_prefixes))
    if prefixes_ahead:
        prefixes = _between(prefixes, after, onward if page.is_truncated else None)
    return replace(
        page, uploads=uploads, common_prefixes=prefixes, next_key_marker=onward[0], next_upload_id_marker=onward[1]
    )


def _once(uploads: tuple[MultipartUpload, ...], after: Marker) -> tuple[MultipartUpload, ...]:
    named = {(upload.key, upload.upload_id): upload for upload in uploads}
    if after[1]:
        named.pop(after, None)
    return tuple(named.values())


def _between(prefixes: tuple[str, ...], after: Marker, onward: Marker | None) -> tuple[str, ...]:
    """Swift sorts uploads by `key/upload id`, in UTF-8, and so do the prefixes have to be placed."""
    first = _place(*after) if after[0] else b""
    last = _place(*onward) if onward else None
    return tuple(prefix for prefix in prefixes if first < prefix.encode() and (last is None or prefix.encode() <= last))


def _place(key: str, upload_id: str) -> bytes:
    """Swift puts `~` for an upload id that is not given."""
    return f"{key}/{upload_id or '~'}".encode()
