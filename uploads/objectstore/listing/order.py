"""The order of uploads and common prefixes in a store's listing, and which of them a page should contain. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from uploads.objectstore.providers import Order, Provider
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage

JOINED: dict[Order, tuple[str, str, str]] = {"key/upload-id": ("/", "~", ""), "key.upload-id": (".", "", ".meta")}
"""The text by which a store sorts an upload: what joins key and upload id, what replaces a missing upload id, and what
ends it (tested with s3api of Swift 2.38 and Ceph RADOS Gateway 16.2)."""


def is_by_key(order: Order) -> bool:
    """Whether the uploads of a folder follow each other in such a listing."""
    return order not in ("upload-id", "none")


def place(order: Order, key: str, upload_id: str) -> bytes:
    """The sort key of a listing: the text of Swift or Ceph, the upload id, or the key, as S3 does not order ids."""
    if order == "upload-id":
        return as_bytes(upload_id)
    if order not in JOINED:
        return as_bytes(key)
    joint, unnamed, end = JOINED[order]
    return as_bytes(f"{key}{joint}{upload_id or unnamed}{end}")


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def is_sorted(order: Order, uploads: Iterable[MultipartUpload]) -> bool:
    """Whether the uploads are in that order."""
    places = [place(order, upload.key, upload.upload_id) for upload in uploads]
    return places == sorted(places)


def with_rows_in_order(page: UploadsPage, provider: Provider) -> UploadsPage:
    """The page with its rows in the order of the listing, if the store orders only its pages, as Garage does."""
    if provider.rows_in_order or provider.order == "none":
        return page
    rows = sorted(page.uploads, key=lambda each: (place(provider.order, each.key, each.upload_id), each.upload_id))
    return replace(page, uploads=tuple(rows))


def after_a_row(page: UploadsPage) -> UploadsPage:
    """The page with the markers of its last upload, if the store's markers name a later one that is not on it.

    rclone names the first upload of the next page, and lists it there. Ceph lists the last upload of a page again, and
    Partway leaves it out. Without the markers of a row, it could not tell the two apart, and would lose an upload.
    """
    marker = (page.next_key_marker, page.next_upload_id_marker)
    names = [(upload.key, upload.upload_id) for upload in page.uploads]
    if not page.is_truncated or page.common_prefixes or not names or not all(marker) or marker in names:
        return page
    if as_bytes(marker[0]) < as_bytes(names[-1][0]):
        return page  # It leads back.
    return replace(page, next_key_marker=names[-1][0], next_upload_id_marker=names[-1][1])


def markers_used(after: Marker, provider: Provider) -> Marker:
    """The markers that the store applies: a store that continues by upload id alone applies no key marker."""
    return ("", after[1]) if provider.marker_pair == "upload-id" else after


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a listing between the markers of a page and of the next; `onward` is None on the last page."""

    order: Order
    after: Marker = ("", "")
    onward: Marker | None = None

    def holds(self, key: str, upload_id: str) -> bool:
        """Whether the page of this span should contain the upload.

        Stores that sort by key alone may end a page between any two uploads of one key. Which page should contain
        another upload of that key is not known, so the result is False for each.
        """
        if not self.after[1] and key == self.after[0]:
            return False
        here = place(self.order, key, upload_id)
        if self.order in JOINED or self.order == "upload-id":
            return self._start < here and (self.onward is None or here <= place(self.order, *self.onward))
        if self.onward is None or here < as_bytes(self.onward[0]):
            return self._start < here
        return self._start < here and (key, "") == self.onward

    def holds_folder(self, folder: str, key: str, upload_id: str) -> bool:
        """Whether the page of this span should contain the folder, one of whose uploads has this key and id."""
        return self.holds_prefix(folder) if is_by_key(self.order) else self.holds(key, upload_id)

    def holds_prefix(self, prefix: str) -> bool:
        """Whether the page of this span should contain the common prefix. The listing is ordered by key."""
        here = as_bytes(prefix)
        return self._start < here and (self.onward is None or here <= place(self.order, *self.onward))

    @property
    def _start(self) -> bytes:
        given = self.after[1] if self.order == "upload-id" else self.after[0]
        return place(self.order, *self.after) if given else b""


def span_of(page: UploadsPage, after: Marker, provider: Provider) -> Span | None:
    """The span of a page that was requested `after` these markers; None if it is not known.

    The order in the profile is trusted if the page itself is in that order. A listing without order has one span,
    with its last page. So has a listing by key whose pages continue after an upload id alone, as the page then shows.
    """
    order, after = provider.order, markers_used(after, provider)
    onward = page.onward if page.is_truncated else None
    if order == "none" or not is_sorted(order, page.uploads) or (is_by_key(order) and _is_by_id(after, onward)):
        return None if page.is_truncated else Span("none")
    if onward == ("", ""):
        return None
    return Span(order, after, onward)


def _is_by_id(*markers: Marker | None) -> bool:
    """Whether one of them is an upload id alone."""
    return any(marker is not None and marker[1] and not marker[0] for marker in markers)
