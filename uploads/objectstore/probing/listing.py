"""How ListMultipartUploads behaves, tested with a few uploads whose keys tell the known behaviours apart."""

from __future__ import annotations

from collections import Counter

from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.permissions import completed_upload, first_upload
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import Finding, Group, differs, failed, ok
from uploads.objectstore.types import MultipartUpload, UploadsPage
from uploads.problems import Problem

NAMES = ("c", "b/1", "a", "d/x", "b", "b-1", "b")
"""The uploads, in the order in which they start: neither by key nor reversed, so that an order by time is no order by
key.

By key, `b` comes before `b-1`; joined with an upload id (`b/…`), it comes after.
"""


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


def ids(uploads: tuple[MultipartUpload, ...]) -> list[tuple[str, str]]:
    return [(upload.key, upload.upload_id) for upload in uploads]


def _prefix(probe: Probe) -> Finding:
    found = names(probe, probe.once(whole))
    if Counter(found) == Counter(NAMES):
        return ok(FindingCode.PREFIX_WORKS, ("exact_prefix", False))
    exact = names(probe, probe.requester.page(probe.once(scene) + "a"))
    if not found and exact == ["a"]:
        return differs(FindingCode.PREFIX_IS_WHOLE_KEY, ("exact_prefix", True))
    return failed(FindingCode.LISTING_INCOMPLETE, started=len(NAMES), listed=len(found))


def _order(probe: Probe) -> Finding:
    found = names(probe, probe.once(listed))
    if found == sorted(found):
        return ok(FindingCode.ORDERED_BY_KEY, ("order", "key"))
    if _is_joined_order(probe, "/"):
        return differs(FindingCode.ORDERED_WITH_SLASH, ("order", "key/upload-id"))
    if _is_joined_order(probe, "."):
        return differs(FindingCode.ORDERED_WITH_DOT, ("order", "key.upload-id"))
    return differs(FindingCode.UNORDERED, ("order", "none"))


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
)
ENDED = Check("ended", Group.LISTING, _ended, ("list-uploads", "abort"))
