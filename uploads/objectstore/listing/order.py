"""The order of uploads and common prefixes in a store's listing, and which of them a page should contain. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uploads.objectstore.providers import Order, Provider
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage

JOINED: dict[Order, tuple[str, str, str]] = {"key/upload-id": ("/", "~", ""), "key.upload-id": (".", "", ".meta")}
"""The text by which a store sorts an upload: what joins key and upload id, what replaces a missing upload id, and what
ends it (tested with s3api of Swift 2.38 and Ceph RADOS Gateway 16.2)."""


def place(order: Order, key: str, upload_id: str) -> bytes:
    """The sort key of a listing: the text of Swift or Ceph, or the key alone, as S3 does not order upload ids."""
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
        if self.order in JOINED:
            return self._start < here and (self.onward is None or here <= place(self.order, *self.onward))
        if self.onward is None or here < as_bytes(self.onward[0]):
            return self._start < here
        return self._start < here and (key, "") == self.onward

    def holds_prefix(self, prefix: str) -> bool:
        """Whether the page of this span should contain the common prefix."""
        here = as_bytes(prefix)
        return self._start < here and (self.onward is None or here <= place(self.order, *self.onward))

    @property
    def _start(self) -> bytes:
        return place(self.order, *self.after) if self.after[0] else b""


def span_of(page: UploadsPage, after: Marker, provider: Provider) -> Span | None:
    """The span of a page that was requested `after` these markers; None if it is not known.

    The order in the profile is trusted if the page itself is in that order. A listing without order has one span,
    with its last page.
    """
    order = provider.order
    if order == "none" or not is_sorted(order, page.uploads):
        return None if page.is_truncated else Span("none")
    after = after if after[0] else ("", "")
    onward = page.onward if page.is_truncated else None
    if onward == ("", ""):
        return None
    return Span(order, after, onward)
