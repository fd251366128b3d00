"""Where uploads and common prefixes stand in a store's listing, and which of them a page should hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uploads.objectstore.providers import Order, Provider
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage

JOINED: dict[Order, tuple[str, str, str]] = {"key/upload-id": ("/", "~", ""), "key.upload-id": (".", "", ".meta")}
"""How an upload is written in the one text that a store sorts by: what joins key and upload id, what stands for an
upload id that is not given, and what ends it (s3api of Swift 2.38 and Ceph RADOS Gateway 16.2, both tried)."""


def place(order: Order, key: str, upload_id: str) -> bytes:
    """What a listing is sorted by: the text of Swift or Ceph, or the key, whose uploads S3 gives in no order of ids."""
    if order not in JOINED:
        return as_bytes(key)
    joint, unnamed, end = JOINED[order]
    return as_bytes(f"{key}{joint}{upload_id or unnamed}{end}")


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def is_sorted(order: Order, uploads: Iterable[MultipartUpload]) -> bool:
    """Whether a page's uploads come in that order."""
    places = [place(order, upload.key, upload.upload_id) for upload in uploads]
    return places == sorted(places)


@dataclass(frozen=True, slots=True)
class Span:
    """What lies between the markers of one page and of the next; `onward` is None where none follows."""

    order: Order
    after: Marker = ("", "")
    onward: Marker | None = None

    def holds(self, key: str, upload_id: str) -> bool:
        """Whether a listing's page of this span should name the upload.

        Stores that sort by keys alone cut between the uploads of one key wherever they like: which page should name
        another upload of that key cannot be told, so none does.
        """
        if not self.after[1] and key == self.after[0]:
            return False
        here = place(self.order, key, upload_id)
        if self.order in JOINED:
            return self._begin < here and (self.onward is None or here <= place(self.order, *self.onward))
        if self.onward is None or here < as_bytes(self.onward[0]):
            return self._begin < here
        return self._begin < here and (key, "") == self.onward

    def holds_prefix(self, prefix: str) -> bool:
        """Whether it should name that common prefix."""
        here = as_bytes(prefix)
        return self._begin < here and (self.onward is None or here <= place(self.order, *self.onward))

    @property
    def _begin(self) -> bytes:
        return place(self.order, *self.after) if self.after[0] else b""


def span_of(page: UploadsPage, after: Marker, provider: Provider) -> Span | None:
    """What a page that was asked for `after` these markers should hold; None where it cannot be told.

    The store's order is believed as long as the page itself keeps it. A listing in no order is taken as a whole, on its
    last page.
    """
    order = provider.order
    if order == "none" or not is_sorted(order, page.uploads):
        return None if page.is_truncated else Span("none")
    after = after if after[0] else ("", "")
    onward = page.onward if page.is_truncated else None
    if onward == ("", ""):
        return None
    return Span(order, after, onward)
