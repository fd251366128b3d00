"""How ListMultipartUploads behaves, tested with a few uploads whose keys tell the known behaviours apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import cast

from uploads.objectstore.listing.order import is_sorted
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.permissions import completed_upload, first_upload
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.providers import Order
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage
from uploads.problems import Problem

NAMES = ("c", "b/1", "a", "d/x", "b", "b-1", "b")
"""The uploads, in the order in which they start: neither by key nor reversed, so that an order by time is no order by
key.

By key, `b` comes before `b-1`; joined with an upload id (`b/…`), it comes after.
"""

MOST_PAGES = 9
"""More pages of two than these uploads can fill."""


def scene(probe: Probe) -> str:
    """Start the uploads; the prefix they share."""
    prefix = probe.prefix + "list/"
    for name in NAMES:
        probe.requester.start_upload(prefix + name)
    return prefix


def whole(probe: Probe) -> UploadsPage:
    """One page that is large enough for all of them."""
    return probe.requester.page(probe.once(scene))


def listable(probe: Probe) -> str:
    """The prefix, if a listing under it holds every upload that was started. Raises NotTried otherwise."""
    if Counter(names(probe, probe.once(whole))) != Counter(NAMES):
        raise NotTried(Problem(FindingCode.LISTING_UNRELIABLE))
    return probe.once(scene)


def names(probe: Probe, page: UploadsPage) -> list[str]:
    prefix = probe.once(scene)
    return [upload.key.removeprefix(prefix) for upload in page.uploads]


def listed(probe: Probe) -> UploadsPage:
    """The one page, if it holds every upload. Raises NotTried otherwise."""
    probe.once(listable)
    return probe.once(whole)


def ids(uploads: tuple[MultipartUpload, ...]) -> list[Marker]:
    return [(upload.key, upload.upload_id) for upload in uploads]


def _prefix(probe: Probe) -> Finding:
    found = names(probe, probe.once(whole))
    if Counter(found) == Counter(NAMES):
        return ok(FindingCode.PREFIX_WORKS, ("exact_prefix", False))
    exact = names(probe, probe.requester.page(probe.once(scene) + "a"))
    if not found and exact == ["a"]:
        return differs(FindingCode.PREFIX_IS_WHOLE_KEY, ("exact_prefix", True))
    return failed(FindingCode.LISTING_INCOMPLETE, started=len(NAMES), listed=len(found))


def in_order(probe: Probe, uploads: Iterable[MultipartUpload]) -> list[Marker]:
    """The names of uploads in the order of the listing, also if the store orders only its pages."""
    found = ids(tuple(uploads))
    return found if probe.flags.get("rows_in_order", True) else sorted(found)


def by_two(probe: Probe) -> UploadsPage:
    return probe.requester.page(probe.once(listable), max_uploads=2)


def pages_by_two(probe: Probe) -> list[UploadsPage]:
    """The pages of two uploads that the store's own markers lead to, from the first on."""
    pages = [probe.once(by_two)]
    while pages[-1].is_truncated and any(pages[-1].onward) and len(pages) < MOST_PAGES:
        pages.append(probe.requester.page(probe.once(listable), max_uploads=2, after=pages[-1].onward))
    return pages


def _order(probe: Probe) -> Finding:
    found = names(probe, probe.once(listed))
    if found == sorted(found):
        return ok(FindingCode.ORDERED_BY_KEY, ("order", "key"))
    if _is_joined_order(probe, "/"):
        return differs(FindingCode.ORDERED_WITH_SLASH, ("order", "key/upload-id"))
    if _is_joined_order(probe, "."):
        return differs(FindingCode.ORDERED_WITH_DOT, ("order", "key.upload-id"))
    return _order_of_pages(probe)


def _order_of_pages(probe: Probe) -> Finding:
    """The order of pages, if the one page that holds all uploads is in none: its rows may be sorted otherwise."""
    pages = [ids(page.uploads) for page in pages_by_two(probe)]
    in_pages = [name for page in pages for name in page]
    if len(pages) > 1 and sorted(in_pages) == sorted(ids(probe.once(listed).uploads)):
        if [key for page in pages for key, _ in sorted(page)] == sorted(key for key, _ in in_pages):
            return ok(FindingCode.PAGES_ORDERED_BY_KEY, ("order", "key"))
        if in_pages == sorted(in_pages, key=lambda name: name[1]) == ids(probe.once(listed).uploads):
            return differs(FindingCode.ORDERED_BY_UPLOAD_ID, ("order", "upload-id"))
    return differs(FindingCode.UNORDERED, ("order", "none"))


def _rows(probe: Probe) -> Finding:
    """Whether the rows of a page are in the order of the pages. Garage sorts them by upload id."""
    order = cast(Order, probe.flags["order"])
    if order == "none":
        raise NotTried(Problem(FindingCode.NEEDS_ORDER))
    if is_sorted(order, probe.once(listed).uploads):
        return ok(FindingCode.ROWS_IN_ORDER, ("rows_in_order", True))
    return differs(FindingCode.ROWS_IN_OTHER_ORDER, ("rows_in_order", False))


def _is_joined_order(probe: Probe, joint: str) -> bool:
    joined = [f"{upload.key}{joint}{upload.upload_id}" for upload in probe.once(listed).uploads]
    return joined == sorted(joined)


def _ended(probe: Probe) -> Finding:
    """Whether the aborted and the completed upload have left the listing."""
    ended = [probe.once(first_upload)]
    if probe.worked("complete"):
        ended.append(probe.once(completed_upload))
    # By their whole keys: any other prefix may find nothing.
    kept = [upload for upload in ended if (upload.key, upload.id) in ids(probe.requester.page(upload.key).uploads)]
    if not kept:
        return ok(FindingCode.ENDED_UPLOADS_LEAVE, ("keeps_ended", False))
    return differs(FindingCode.ENDED_UPLOADS_STAY, ("keeps_ended", True), count=len(kept))


NEEDS = ("list-uploads", "create", "abort")
LISTED = ("prefix",)

CHECKS = (
    Check("prefix", Group.LISTING, _prefix, NEEDS),
    Check("order", Group.LISTING, _order, LISTED),
    Check("rows", Group.LISTING, _rows, ("order",)),
)
ENDED = Check("ended", Group.LISTING, _ended, ("list-uploads", "abort"))
