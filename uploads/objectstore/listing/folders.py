"""Folders and prefixes made here, page by page, where a store's own lose uploads or find none. Pure.

A page stays one request: what it should not show is left out of it, so it may hold fewer rows than were asked for.
"""

from __future__ import annotations

import re
from dataclasses import replace

from uploads.objectstore.keys import LAST_CHARACTER, MAX_KEY_BYTES, just_below
from uploads.objectstore.listing.order import JOINED, as_bytes, place
from uploads.objectstore.providers import Order
from uploads.objectstore.types import Marker, UploadsPage

ID_TEXT = re.compile(r"[\w.~=+-]*", re.ASCII)
"""What stores make upload ids of."""


def common_prefix(key: str, prefix: str, delimiter: str) -> str:
    """The folder that a key is in: up to the first delimiter behind the prefix; '' where it is in none."""
    if not delimiter or not key.startswith(prefix):
        return ""
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else ""


def fold(page: UploadsPage, after: Marker, *, prefix: str, delimiter: str, order: Order) -> UploadsPage:
    """A page that was asked for `after` these markers without a delimiter, with its folders in place of what they hold.

    A folder is shown on the page on which it begins, so not where the markers lie in it already. If it does not end on
    the page, the next one begins behind it: else a folder of a million uploads would be a thousand empty pages. Where
    there is no order, or another key's uploads lie between those of a folder, it may be shown once more.
    """
    entered = common_prefix(after[0], prefix, delimiter) if order != "none" else ""
    folders = [common_prefix(upload.key, prefix, delimiter) for upload in page.uploads]
    folded = replace(
        page,
        uploads=tuple(upload for upload, folder in zip(page.uploads, folders, strict=True) if not folder),
        common_prefixes=tuple(dict.fromkeys(folder for folder in folders if folder not in {"", entered})),
    )
    if page.is_truncated and folders and folders[-1] and _is_of_one_piece(folders[-1], prefix, order):
        return replace(folded, next_key_marker=folders[-1] + LAST_CHARACTER, next_upload_id_marker="")
    return folded


def _is_of_one_piece(folder: str, prefix: str, order: Order) -> bool:
    """Whether nothing but the folder's uploads lies in it, and a marker behind it can be named.

    Swift writes an upload of `a` as `a/id`, which lies in the folder `a/`; Ceph writes `a.id`.
    """
    if order == "none" or len(as_bytes(folder + LAST_CHARACTER)) > MAX_KEY_BYTES:
        return False
    if order not in JOINED:
        return True
    joint = JOINED[order][0]
    rests = (folder[at + 1 :] for at in range(len(prefix), len(folder)) if folder[at] == joint)
    return not any(ID_TEXT.fullmatch(rest) for rest in rests)


def narrow(page: UploadsPage, prefix: str, order: Order) -> UploadsPage:
    """A page that was asked for without a prefix, with only what has it; the last where no more can have it."""
    kept = tuple(upload for upload in page.uploads if upload.key.startswith(prefix))
    return replace(page, uploads=kept, is_truncated=page.is_truncated and not _is_behind(page, prefix, order))


def _is_behind(page: UploadsPage, prefix: str, order: Order) -> bool:
    if order == "none" or not page.uploads:
        return False
    last = place(order, page.uploads[-1].key, page.uploads[-1].upload_id)
    return last > as_bytes(prefix) and not last.startswith(as_bytes(prefix))


def marker_before(prefix: str, order: Order) -> str:
    """A key marker behind which all that has the prefix follows soon; '' for the beginning."""
    if order == "none" or not prefix:
        return ""
    # No control character: some stores' listings fail on them.
    before = just_below(prefix) if prefix[-1] > " " else prefix[:-1]
    return before if len(as_bytes(before)) <= MAX_KEY_BYTES else ""
