"""How ListMultipartUploads behaves, on a handful of uploads whose keys tell one way from another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from uploads.objectstore.errors import Refused
from uploads.objectstore.keys import key_before
from uploads.objectstore.probing.permissions import Upload, completed_upload, first_upload
from uploads.objectstore.probing.probe import CannotTry, Check, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.types import Marker, MultipartUpload, UploadsPage

NAMES = ("c", "b/1", "a", "d/x", "b", "b-1", "b")
"""What is begun, in this order: neither by key nor backwards, so that no order by time passes for one by key.

By key `b` comes before `b-1`; joined with an upload id (`b/…`) it comes after.
"""

FOLDERS = ("b/", "d/")
BESIDE_FOLDERS = ("a", "b", "b", "b-1", "c")
AFTER_B = ("b-1", "b/1", "c", "d/x")

MOST_PAGES = 9
"""More pages than so few uploads can fill, by two."""

NARROW = "Narrow the prefix until the page holds everything."


def scene(probe: Probe) -> str:
    """Begin the uploads; the prefix they share."""
    prefix = probe.prefix + "list/"
    for name in NAMES:
        probe.requester.start_upload(prefix + name)
    return prefix


def whole(probe: Probe) -> UploadsPage:
    """One page that has room for everything."""
    return probe.requester.page(probe.once(scene))


def listable(probe: Probe) -> str:
    """The prefix, where a listing under it holds all that was begun. Raises CannotTry elsewhere."""
    if Counter(names(probe, probe.once(whole))) != Counter(NAMES):
        raise CannotTry("a listing by prefix does not hold the uploads it should")
    return probe.once(scene)


def by_two(probe: Probe) -> UploadsPage:
    return probe.requester.page(probe.once(listable), max_uploads=2)


def by_one(probe: Probe) -> UploadsPage:
    return probe.requester.page(probe.once(listable), max_uploads=1)


def names(probe: Probe, page: UploadsPage) -> list[str]:
    prefix = probe.once(scene)
    return [upload.key.removeprefix(prefix) for upload in page.uploads]


def listed(probe: Probe) -> UploadsPage:
    """The one page, where it holds all. Raises CannotTry elsewhere."""
    probe.once(listable)
    return probe.once(whole)


def _prefix(probe: Probe) -> Finding:
    found = names(probe, probe.once(whole))
    if Counter(found) == Counter(NAMES):
        return ok("Uploads are found by the beginning of their keys.", ("exact_prefix", False))
    exact = names(probe, probe.requester.page(probe.once(scene) + "a"))
    if not found and exact == ["a"]:
        said = "Uploads are found only by their whole key."
        return differs(said, "Prefixes are narrowed here, page by page.", ("exact_prefix", True))
    return failed(
        f"Of {len(NAMES)} uploads just begun under one prefix, {len(found)} are listed.",
        "Do not rely on this store's listing: open uploads by key and upload id.",
    )


def _order(probe: Probe) -> Finding:
    found = names(probe, probe.once(listed))
    if found == sorted(found):
        return ok("Uploads come in the order of their keys.", ("order", "key"))
    if _is_joined_order(probe, "/"):
        said = "Uploads come in the order of key and upload id joined with a slash: “a-1” before “a”."
        return differs(said, "", ("order", "key/upload-id"))
    if _is_joined_order(probe, "."):
        said = "Uploads come in the order of key and upload id joined with a dot: “a-1” before “a”."
        return differs(said, "", ("order", "key.upload-id"))
    return differs("Uploads come in no order.", "Pages are shown as they come.", ("order", "none"))


def _is_joined_order(probe: Probe, joint: str) -> bool:
    joined = [f"{upload.key}{joint}{upload.upload_id}" for upload in probe.once(listed).uploads]
    return joined == sorted(joined)


def _key_marker(probe: Probe) -> Finding:
    prefix = probe.once(listable)
    if probe.flags.get("order") == "none":
        raise CannotTry("uploads come in no order")
    found = names(probe, probe.requester.page(prefix, after=(prefix + "b", "")))
    missing = Counter(AFTER_B) - Counter(found)
    if "a" in found:
        return failed("A key marker is ignored: every page would be the first.", NARROW)
    if "b" in found:
        said = "A key marker alone lists the uploads of that very key again."
        return differs(said, "They are left out here.", ("key_marker_inclusive", True))
    if not missing:
        return ok("A key marker alone lists strictly after that key.", ("key_marker_inclusive", False))
    return differs(
        f"A key marker alone leaves out {len(missing)} uploads that come after it by key.",
        "Pages here go on by both markers; a key marker typed by hand may skip some.",
        ("key_marker_inclusive", False),
    )


def _both_markers(probe: Probe) -> Finding:
    """After the first of two uploads of one key."""
    uploads = probe.once(listed).uploads
    first = next(index for index, name in enumerate(names(probe, probe.once(listed))) if name == "b")
    after, due = (uploads[first].key, uploads[first].upload_id), _ids(uploads[first + 1 :])
    try:
        found = _ids(probe.requester.page(probe.once(listable), after=after).uploads)
    except Refused as refused:
        if refused.status >= 500 or not _leads_on(probe, key_before(after), due):
            raise
        said = f"The store refuses the markers of its own uploads ({refused.code}: {refused.message})."
        found_out = differs(
            said, "Markers just before the key are sent, which it takes.", ("marker_pair", "key-before")
        )
        return replace(found_out, code=refused.code, request_id=refused.request_id)
    if found == due:
        return ok("Both markers together go on right after that upload.", ("marker_pair", "as-given"))
    if _leads_on(probe, key_before(after), due):
        said = "Both markers together lose uploads of the marker's own key."
        return differs(said, "Markers just before the key are sent, which lose none.", ("marker_pair", "key-before"))
    if [each for each in found if each != after] == due:
        return differs("Both markers together list their own upload again.", "It is left out here.")
    lost = len(set(due) - set(found))
    if lost:
        return failed(f"After both markers {lost} of {len(due)} uploads are missing.", NARROW)
    return differs(
        f"After both markers {len(found) - len(due)} uploads come that came before.", "Repeats are left out."
    )


def _leads_on(probe: Probe, after: Marker, due: list[tuple[str, str]]) -> bool:
    """Whether exactly what is due comes after these markers."""
    try:
        return _ids(probe.requester.page(probe.once(listable), after=after).uploads) == due
    except Refused:
        return False


def _ids(uploads: tuple[MultipartUpload, ...]) -> list[tuple[str, str]]:
    return [(upload.key, upload.upload_id) for upload in uploads]


def _max_uploads(probe: Probe) -> Finding:
    found = len(probe.once(by_two).uploads)
    if found == 2:
        return ok("A page has as many uploads as were asked for.")
    return differs(f"Of a page of 2 uploads {found} came.", "Pages may be longer or shorter than asked.")


def _next_of_two(probe: Probe) -> Finding:
    page = probe.once(by_two)
    if finding := _says_it_is_all(page):
        return finding
    if not page.next_key_marker:
        said = "A truncated page names no place to go on from."
        return differs(said, "The page's last upload serves.", ("empty_markers", True))
    return _goes_on(probe, page)


def _next_of_one(probe: Probe) -> Finding:
    page, two = probe.once(by_one), probe.once(by_two)
    if finding := _says_it_is_all(page):
        return finding
    if not page.next_key_marker:
        said = "A truncated page of one upload names no place to go on from."
        return differs(said, "The page's last upload serves.", ("empty_markers", True))
    found = _goes_on(probe, page)
    return replace(found, flag=("empty_markers", two.is_truncated and not two.next_key_marker))


def _says_it_is_all(page: UploadsPage) -> Finding | None:
    """A page after which no other is asked for."""
    if page.is_truncated:
        return None
    if len(page.uploads) == len(NAMES):
        raise CannotTry("a page holds everything, whatever its size")
    return failed("A page that is not all says that it is.", "Ask for pages of 1,000, and narrow the prefix.")


def _goes_on(probe: Probe, page: UploadsPage) -> Finding:
    """Whether the page after a page's own markers goes on where it ended."""
    onward = _onward(probe, page)
    size = max(1, len(page.uploads))
    after = probe.requester.page(probe.once(listable), max_uploads=size, after=onward)
    due = _ids(probe.once(listed).uploads)[len(page.uploads) :][:size]
    found = _ids(after.uploads)
    if found == due:
        if page.next_upload_id_marker:
            return ok("The next page goes on where the page ended.")
        return differs("The next page goes on, though no upload id marker is named.", "The row's own id serves.")
    if set(found) & set(_ids(page.uploads)):
        return failed("The next markers do not lead on: the same uploads come again.", NARROW)
    return failed(f"The page after the store's own markers is another than is due ({len(found)} uploads).", NARROW)


def _exact_fit(probe: Probe) -> Finding:
    page = probe.requester.page(probe.once(listable), max_uploads=len(NAMES))
    if not page.is_truncated:
        return ok("A page that holds all says so.")
    return differs("A page that just holds all is said to be truncated.", "An empty page follows it.")


def folders(probe: Probe) -> UploadsPage:
    return probe.requester.page(probe.once(listable), delimiter="/")


def _delimiter(probe: Probe) -> Finding:
    prefix, page = probe.once(listable), probe.once(folders)
    missing_folders = {prefix + folder for folder in FOLDERS} - set(page.common_prefixes)
    missing = Counter(BESIDE_FOLDERS) - Counter(names(probe, page))
    if not missing_folders and not missing:
        return ok("A delimiter groups keys to common prefixes.", ("delimiter", "works"))
    said = f"A delimiter loses {len(missing_folders)} of {len(FOLDERS)} common prefixes"
    said += f" and {missing.total()} uploads beside them." if missing else "."
    return differs(said, "The delimiter is not sent: folders are made here, page by page.", ("delimiter", "broken"))


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
        if not onward[0] or onward == after:
            break
        after = onward
    seen.stuck = True
    return seen


def _onward(probe: Probe, page: UploadsPage, delimiter: str = "") -> Marker:
    """Where to go on, in the way that the store takes markers."""
    if probe.flags.get("marker_pair") != "key-before" or not page.onward[1]:
        return page.onward
    return key_before(page.onward, probe.once(scene), delimiter)


def _delimiter_pages(probe: Probe) -> Finding:
    seen = _page_by_page(probe)
    lost = (Counter(BESIDE_FOLDERS) - seen.uploads).total() + len(set(FOLDERS) - set(seen.prefixes))
    repeated = [name for name, count in seen.prefixes.items() if count > 1]
    if lost or seen.stuck:
        said = f"Page by page with a delimiter, {lost} uploads or common prefixes never come."
        return differs(said, "The delimiter is not sent: folders are made here.", ("delimiter", "broken"))
    if seen.ahead and repeated:
        said = "A page names common prefixes of what follows, and later pages name them again."
        return differs(said, "Each is shown once, where it belongs.", ("prefixes_ahead", True))
    if repeated:
        return differs("Common prefixes come again on later pages.", "Each is shown once.", ("prefixes_ahead", False))
    return ok("Page by page, every upload and common prefix comes once.", ("prefixes_ahead", False))


def _ended(probe: Probe) -> Finding:
    """Whether what was aborted and what was completed has left the listing."""
    ended = [probe.once(first_upload)]
    if probe.worked("complete"):
        ended.append(probe.once(completed_upload))
    # By their keys: any other prefix may find nothing.
    kept = [upload for upload in ended if (upload.key, upload.id) in _ids(probe.requester.page(upload.key).uploads)]
    if not kept:
        return ok("Uploads that were aborted or completed leave the listing.", ("keeps_ended", False))
    return _kept(kept)


def _kept(kept: list[Upload]) -> Finding:
    said = f"{len(kept)} of the uploads that were ended by this check are still listed."
    return differs(said, "Rows of ended uploads are marked when they are looked at.", ("keeps_ended", True))


NEEDS = ("list-uploads", "create", "abort")
LISTED = ("prefix",)

CHECKS = (
    Check("prefix", "Prefix", Group.LISTING, _prefix, NEEDS),
    Check("order", "Order of uploads", Group.LISTING, _order, LISTED),
    Check("key-marker", "Key marker alone", Group.LISTING, _key_marker, LISTED, NARROW),
    Check("both-markers", "Key marker and upload id marker", Group.LISTING, _both_markers, LISTED, NARROW),
    Check("max-uploads", "Page size", Group.LISTING, _max_uploads, LISTED),
    Check("next-of-two", "Next markers of a page of 2", Group.LISTING, _next_of_two, LISTED, NARROW),
    Check("next-of-one", "Next markers of a page of 1", Group.LISTING, _next_of_one, LISTED, NARROW),
    Check("exact-fit", "A page that just holds all", Group.LISTING, _exact_fit, LISTED),
    Check("delimiter", "Delimiter", Group.LISTING, _delimiter, LISTED),
    Check("delimiter-pages", "Delimiter, page by page", Group.LISTING, _delimiter_pages, LISTED, NARROW),
    Check("ended", "Ended uploads leave the listing", Group.LISTING, _ended, ("list-uploads", "abort")),
)
