"""How a listing continues from page to page: markers, page sizes, and the delimiter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

from uploads.objectstore.errors import Refused, UnreadableResponse
from uploads.objectstore.keys import key_before
from uploads.objectstore.listing.order import is_by_key
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.listing import (
    LISTED,
    MOST_PAGES,
    NAMES,
    by_two,
    ids,
    in_order,
    listable,
    listed,
    names,
    scene,
)
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.providers import MarkerPair, Order
from uploads.objectstore.types import Marker, UploadsPage
from uploads.problems import Code, Problem

FOLDERS = ("b/", "d/")
BESIDE_FOLDERS = ("a", "b", "b", "b-1", "c")
AFTER_B = ("b-1", "b/1", "c", "d/x")


def by_one(probe: Probe) -> UploadsPage:
    return probe.requester.page(probe.once(listable), max_uploads=1)


def _key_marker(probe: Probe) -> Finding:
    prefix = probe.once(listable)
    if not is_by_key(cast(Order, probe.flags.get("order", "key"))):
        raise NotTried(Problem(FindingCode.NEEDS_ORDER))
    found = names(probe, probe.requester.page(prefix, after=(prefix + "b", "")))
    missing = Counter(AFTER_B) - Counter(found)
    if "a" in found:
        return failed(FindingCode.KEY_MARKER_IGNORED)
    if "b" in found:
        return differs(FindingCode.KEY_MARKER_INCLUSIVE)
    if missing:
        return differs(FindingCode.KEY_MARKER_SKIPS, count=len(missing))
    return ok(FindingCode.KEY_MARKER_EXCLUSIVE)


@dataclass(frozen=True, slots=True)
class _Place:
    """A place inside the listing: the markers of an upload, and the uploads that are due after it."""

    after: Marker
    due: list[Marker]


def _places(probe: Probe) -> list[_Place]:
    """After the first upload, and after the first of two uploads with one key."""
    uploads = in_order(probe, probe.once(listed).uploads)
    repeated = probe.once(scene) + "b"
    first_of_two = next(index for index, (key, _) in enumerate(uploads) if key == repeated)
    return [_Place(uploads[index], uploads[index + 1 :]) for index in sorted({0, first_of_two})]


def _both_markers(probe: Probe) -> Finding:
    """Continue at both places with the upload's own markers, or else with others that the store may accept."""
    places = _places(probe)
    try:
        wrong = [(place, found) for place in places if (found := _after(probe, place.after)) != place.due]
    except Refused as refused:
        remedy = None if refused.status >= 500 else _remedy(probe, places)
        if remedy is None:
            raise
        if remedy != "key-before":
            return differs(FindingCode.UPLOAD_ID_MARKER_CONTINUES, ("marker_pair", remedy))
        finding = differs(FindingCode.MARKERS_REFUSED, ("marker_pair", remedy), code=refused.code)
        return replace(finding, code=refused.code, request_id=refused.request_id, store_message=refused.store_message)
    if not wrong:
        return ok(FindingCode.MARKERS_CONTINUE, ("marker_pair", "as-given"))
    if remedy := _remedy(probe, places):
        return differs(REMEDIES[remedy][0], ("marker_pair", remedy))
    return _unexpected(*wrong[0])


REMEDIES: Mapping[MarkerPair, tuple[FindingCode, Callable[[Marker], Marker]]] = {
    "key-before": (FindingCode.MARKERS_LOSE_UPLOADS, key_before),
    "upload-id": (FindingCode.UPLOAD_ID_MARKER_CONTINUES, lambda marker: ("", marker[1])),
}
"""What else may be sent as markers: what a store shows that needs it, and how it is made of an upload's markers."""


def _remedy(probe: Probe, places: Sequence[_Place]) -> MarkerPair | None:
    """The other markers that continue at every place."""
    for pair, (_, markers) in REMEDIES.items():
        with suppress(Refused):
            if all(_after(probe, markers(place.after)) == place.due for place in places):
                return pair
    return None


def _after(probe: Probe, after: Marker) -> list[Marker]:
    return in_order(probe, probe.requester.page(probe.once(listable), after=after).uploads)


def _unexpected(place: _Place, found: list[Marker]) -> Finding:
    """What is wrong with a page that should hold what is due at a place."""
    due = place.due
    if [each for each in found if each != place.after] == due:
        return differs(FindingCode.MARKERS_REPEAT_THEIR_OWN)
    missing = len(set(due) - set(found))
    if missing:
        return failed(FindingCode.MARKERS_SKIP, missing=missing, due=len(due))
    return differs(FindingCode.MARKERS_REPEAT, count=len(found) - len(due))


def _max_uploads(probe: Probe) -> Finding:
    found = len(probe.once(by_two).uploads)
    if found == 2:
        return ok(FindingCode.PAGE_SIZE_RESPECTED)
    return differs(FindingCode.PAGE_SIZE_IGNORED, requested=2, count=found)


def _next_of_two(probe: Probe) -> Finding:
    page = probe.once(by_two)
    if finding := _claims_to_be_last(page):
        return finding
    if not _names_markers(page):
        return differs(FindingCode.NEXT_MARKERS_MISSING)
    return _next_page(probe, page)


def _next_of_one(probe: Probe) -> Finding:
    page = probe.once(by_one)
    if finding := _claims_to_be_last(page):
        return finding
    if not _names_markers(page):
        return differs(FindingCode.NEXT_MARKERS_OF_ONE_MISSING)
    return _next_page(probe, page)


def _names_markers(page: UploadsPage) -> bool:
    return bool(page.next_key_marker or page.next_upload_id_marker)


def _claims_to_be_last(page: UploadsPage) -> Finding | None:
    """A page that is reported as the last one, after which no other would be requested."""
    if page.is_truncated:
        return None
    if len(page.uploads) == len(NAMES):
        raise NotTried(Problem(FindingCode.PAGE_HOLDS_EVERYTHING))
    return failed(FindingCode.PAGE_CLAIMS_TO_BE_LAST)


def _next_page(probe: Probe, page: UploadsPage) -> Finding:
    """Whether the page requested with a page's own markers continues where it ended."""
    onward = _onward(probe, page)
    size = max(1, len(page.uploads))
    after = probe.requester.page(probe.once(listable), max_uploads=size, after=onward)
    due = in_order(probe, probe.once(listed).uploads)[len(page.uploads) :][:size]
    found = in_order(probe, after.uploads)
    if found == due:
        if not page.next_key_marker:
            return differs(FindingCode.NEXT_KEY_MARKER_MISSING)
        if page.next_upload_id_marker:
            return ok(FindingCode.NEXT_PAGE_CONTINUES)
        return differs(FindingCode.NEXT_UPLOAD_ID_MARKER_MISSING)
    if set(found) & set(ids(page.uploads)):
        return failed(FindingCode.NEXT_MARKERS_LOOP)
    return failed(FindingCode.NEXT_PAGE_WRONG, count=len(found))


def _exact_fit(probe: Probe) -> Finding:
    page = probe.requester.page(probe.once(listable), max_uploads=len(NAMES))
    if not page.is_truncated:
        return ok(FindingCode.EXACT_PAGE_IS_LAST)
    return differs(FindingCode.EXACT_PAGE_TRUNCATED)


def folders(probe: Probe) -> UploadsPage:
    return probe.requester.page(probe.once(listable), delimiter="/")


def _delimiter(probe: Probe) -> Finding:
    prefix, page = probe.once(listable), probe.once(folders)
    prefixes_lost = {prefix + folder for folder in FOLDERS} - set(page.common_prefixes)
    uploads_lost = Counter(BESIDE_FOLDERS) - Counter(names(probe, page))
    if not prefixes_lost and not uploads_lost:
        return ok(FindingCode.DELIMITER_WORKS, ("delimiter", "works"))
    return differs(
        FindingCode.DELIMITER_LOSES,
        ("delimiter", "broken"),
        prefixes_lost=len(prefixes_lost),
        prefixes=len(FOLDERS),
        uploads_lost=uploads_lost.total(),
    )


@dataclass(slots=True)
class _Seen:
    """What pages with a delimiter have shown."""

    uploads: Counter[str]
    prefixes: Counter[str]
    ahead: bool = False
    stuck: bool = False


def _page_by_page(probe: Probe) -> _Seen:
    prefix, after = probe.once(listable), ("", "")
    seen = _Seen(Counter(), Counter())
    for _ in range(MOST_PAGES):
        page = probe.requester.page(prefix, delimiter="/", max_uploads=2, after=after)
        seen.uploads.update(names(probe, page))
        seen.prefixes.update(common.removeprefix(prefix) for common in page.common_prefixes)
        if not page.is_truncated:
            return seen
        onward = _onward(probe, page, "/")
        seen.ahead = seen.ahead or any(common > onward[0] for common in page.common_prefixes)
        if not any(onward) or onward == after:
            break
        after = onward
    seen.stuck = True
    return seen


def _onward(probe: Probe, page: UploadsPage, delimiter: str = "") -> Marker:
    """The markers of the next page, in the form that the store accepts."""
    pair = probe.flags.get("marker_pair")
    if pair == "upload-id":
        return "", page.onward[1]
    if pair != "key-before" or not all(page.onward):
        return page.onward
    return key_before(page.onward, probe.once(scene), delimiter)


def _delimiter_pages(probe: Probe) -> Finding:
    seen = _page_by_page(probe)
    lost = (Counter(BESIDE_FOLDERS) - seen.uploads).total() + len(set(FOLDERS) - set(seen.prefixes))
    repeated = [name for name, count in seen.prefixes.items() if count > 1]
    if lost or seen.stuck:
        return differs(FindingCode.DELIMITER_PAGES_LOSE, ("delimiter", "broken"), count=lost)
    if seen.ahead and repeated:
        return differs(FindingCode.PREFIXES_AHEAD, ("prefixes_ahead", True))
    if repeated:
        return differs(FindingCode.PREFIXES_REPEATED, ("prefixes_ahead", False))
    return ok(FindingCode.DELIMITER_PAGES_COMPLETE, ("prefixes_ahead", False))


def _all_pages(probe: Probe) -> Finding:
    """Every page of two, requested as Partway requests pages with what the checks before this one have found."""
    due, found = set(in_order(probe, probe.once(listed).uploads)), set[Marker]()
    pages = 0
    try:
        for page in islice(probe.requester.pages(probe.once(listable), max_uploads=2, flags=probe.flags), MOST_PAGES):
            pages += 1
            found.update(ids(page.uploads))
            if pages == 1 and not page.is_truncated and due <= found:
                raise NotTried(Problem(FindingCode.PAGE_HOLDS_EVERYTHING))
    except UnreadableResponse as error:
        if error.problem is None or error.problem.code != Code.LISTING_WITHOUT_END:
            raise
    except Refused as refused:
        if refused.status >= 500 or not pages:
            raise
    if missing := len(due - found):
        return failed(FindingCode.ALL_PAGES_LOSE, ("loses_pages", True), missing=missing, due=len(due))
    return ok(FindingCode.ALL_PAGES_COMPLETE, ("loses_pages", False))


ALL_PAGES = Check("all-pages", Group.LISTING, _all_pages, LISTED)

CHECKS = (
    Check("key-marker", Group.LISTING, _key_marker, LISTED),
    Check("both-markers", Group.LISTING, _both_markers, LISTED),
    Check("max-uploads", Group.LISTING, _max_uploads, LISTED),
    Check("next-of-two", Group.LISTING, _next_of_two, LISTED),
    Check("next-of-one", Group.LISTING, _next_of_one, LISTED),
    Check("exact-fit", Group.LISTING, _exact_fit, LISTED),
    Check("delimiter", Group.LISTING, _delimiter, LISTED),
    Check("delimiter-pages", Group.LISTING, _delimiter_pages, LISTED),
)
