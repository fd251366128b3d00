"""Folders and prefixes computed by Partway, page by page, for stores whose own grouping loses uploads. Pure.

A page remains one request. Rows that it should not show are removed, so it may have fewer rows than requested.
"""

from __future__ import annotations

import re
from dataclasses import replace

from uploads.objectstore.keys import LAST_CHARACTER, MAX_KEY_BYTES, just_below
from uploads.objectstore.listing.order import JOINED, as_bytes, is_by_key, place
from uploads.objectstore.providers import Order
from uploads.objectstore.types import Marker, UploadsPage
from uploads.problems import Code, Problem

ID_TEXT = re.compile(r"[\w.~=+-]*", re.ASCII)
"""The characters of upload ids."""


def common_prefix(key: str, prefix: str, delimiter: str) -> str:
    """The folder of a key: up to the first delimiter after the prefix; '' if it is in no folder."""
    if not delimiter or not key.startswith(prefix):
        return ""
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else ""


def fold(page: UploadsPage, after: Marker, *, prefix: str, delimiter: str, order: Order) -> UploadsPage:
    """A page that was requested without a delimiter, with folders in place of the uploads in them.

    A folder is shown only on the page on which it starts, so not if the markers are already inside it. If it does not
    end on the page, the next page starts after it: otherwise a folder of a million uploads would be a thousand empty
    pages. A folder may be shown again if the listing is not ordered by key, or has another key's uploads inside the
    folder.
    """
    entered = common_prefix(after[0], prefix, delimiter) if is_by_key(order) else ""
    folders = [common_prefix(upload.key, prefix, delimiter) for upload in page.uploads]
    folded = replace(
        page,
        uploads=tuple(upload for upload, folder in zip(page.uploads, folders, strict=True) if not folder),
        common_prefixes=tuple(dict.fromkeys(folder for folder in folders if folder not in {"", entered})),
    )
    if page.is_truncated and folders and folders[-1] and _is_contiguous(folders[-1], prefix, order):
        return replace(folded, next_key_marker=folders[-1] + LAST_CHARACTER, next_upload_id_marker="")
    return folded


def _is_contiguous(folder: str, prefix: str, order: Order) -> bool:
    """Whether the folder contains only its own uploads, and a marker after it exists.

    Swift sorts an upload of `a` as `a/id`, which is inside the folder `a/`; Ceph sorts it as `a.id`.
    """
    if not is_by_key(order) or len(as_bytes(folder + LAST_CHARACTER)) > MAX_KEY_BYTES:
        return False
    if order not in JOINED:
        return True
    joint = JOINED[order][0]
    rests = (folder[at + 1 :] for at in range(len(prefix), len(folder)) if folder[at] == joint)
    return not any(ID_TEXT.fullmatch(rest) for rest in rests)


def narrow(page: UploadsPage, prefix: str, order: Order) -> UploadsPage:
    """A page that was requested without a prefix, reduced to it; the last page if no more uploads can have it."""
    kept = tuple(upload for upload in page.uploads if upload.key.startswith(prefix))
    return replace(page, uploads=kept, is_truncated=page.is_truncated and not _is_after(page, prefix, order))


def only_below(page: UploadsPage, prefix: str, *, filtered_here: bool) -> UploadsPage:
    """Without what the store lists although it is not below the prefix, for a user who may not see it.

    A listing without an order ends where its next marker, which is a key, is not below the prefix. So does one with an
    upload id alone as the next marker, if the page was filtered here: it may be that of any upload of the bucket.
    """
    below = replace(
        page,
        uploads=tuple(upload for upload in page.uploads if upload.key.startswith(prefix)),
        common_prefixes=tuple(each for each in page.common_prefixes if each.startswith(prefix)),
    )
    marker = page.next_key_marker
    is_inside = marker.startswith(prefix) if marker else not (filtered_here and page.next_upload_id_marker)
    if not page.is_truncated or is_inside:
        return below
    notes = (*page.notes, Problem(Code.LISTING_ENDS_AT_GRANT))
    return replace(below, is_truncated=False, next_key_marker="", next_upload_id_marker="", notes=notes)


def _is_after(page: UploadsPage, prefix: str, order: Order) -> bool:
    if not is_by_key(order) or not page.uploads:
        return False
    last = place(order, page.uploads[-1].key, page.uploads[-1].upload_id)
    return last > as_bytes(prefix) and not last.startswith(as_bytes(prefix))


def marker_before(prefix: str, order: Order) -> str:
    """A key marker shortly before everything with the prefix; '' for the start of the listing."""
    if not is_by_key(order) or not prefix:
        return ""
    # Not a control character, on which the listings of some stores fail.
    before = just_below(prefix) if prefix[-1] > " " else prefix[:-1]
    return before if len(as_bytes(before)) <= MAX_KEY_BYTES else ""
