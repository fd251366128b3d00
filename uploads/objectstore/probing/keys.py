"""Keys that intermediaries tend to rewrite: each must stay itself, in listings and as an object, or be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from uploads.objectstore import xml
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.listing import listable
from uploads.objectstore.probing.permissions import is_there
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import Finding, Group, Verdict, differs, failed, ok
from uploads.objectstore.xml_tree import Fields, get
from uploads.problems import Problem


@dataclass(frozen=True, slots=True)
class OddKey:
    """`key` and the key that normalizing it as a path would give, both below a prefix. `name` is the check's."""

    name: str
    key: str
    normalized: str = ""


# The first two need encoding, so that a page of two ends on a marker that shows whether markers are encoded.
ODD_KEYS = (
    OddKey("key-plus", "1 b+c%25"),
    OddKey("key-unicode", "2 grüße-日本-🙂"),
    OddKey("key-query", "3?x#y&z=1"),
    OddKey("key-dots", "4/../b", "b"),
    OddKey("key-slashes", "5//b", "5/b"),
)
PAIR = 2

NO_ENCODING = ("url_encoding", "none")


def odd_prefix(probe: Probe) -> str:
    return probe.prefix + "odd/"


class _Started:
    """Uploads with odd keys: those that could not be started, with the error."""

    def __init__(self, probe: Probe) -> None:
        self.refusals: dict[str, ObjectStoreError] = {}
        for odd in ODD_KEYS:
            try:
                probe.requester.start_upload(odd_prefix(probe) + odd.key)
            except ObjectStoreError as error:
                if not _is_about_the_key(error):
                    raise
                self.refusals[odd.key] = error


def _is_about_the_key(error: ObjectStoreError) -> bool:
    """Whether the store refused the key itself, or our own client did because of the profile."""
    passing = {Reason.PERMISSION, Reason.THROTTLED, Reason.STORE_FAULT}
    return error.reason is Reason.BAD_KEY or (isinstance(error, Refused) and error.reason not in passing)


def encoded(probe: Probe) -> Fields:
    """A page of the two keys that need encoding most, requested with encoding-type=url; more follow."""
    probe.once(listable)
    started = probe.once(_Started)
    if any(odd.key in started.refusals for odd in ODD_KEYS[:PAIR]):
        raise NotTried(Problem(FindingCode.ENCODED_KEYS_REFUSED))
    return probe.requester.list_uploads(odd_prefix(probe), max_uploads=PAIR, encoded=True)


def _encoding(probe: Probe) -> Finding:
    fields = probe.once(encoded)
    prefix = odd_prefix(probe)
    plain = [prefix + odd.key for odd in ODD_KEYS[:PAIR]]
    keys = [get(node, "Key") for name, node in fields if name == "Upload" and isinstance(node, list)]
    # A page that is longer than requested, or in another order, also holds other keys.
    raw = [key for key in keys if key in plain or xml.decode(key) in plain]
    if len(raw) < PAIR and probe.flags.get("order") == "none":
        raise NotTried(Problem(FindingCode.NEEDS_ORDER))
    declared = get(fields, "EncodingType").strip().lower() == "url"
    if sorted(raw) == sorted(plain):
        code = FindingCode.ENCODING_DECLARED_ONLY if declared else FindingCode.ENCODING_IGNORED
        return differs(code, NO_ENCODING)
    if sorted(map(xml.decode, raw)) != sorted(plain):
        return failed(FindingCode.ENCODING_CHANGES_KEYS)
    if not declared:
        return differs(FindingCode.ENCODING_NOT_DECLARED, NO_ENCODING)
    if get(fields, "NextKeyMarker") in plain:
        return differs(FindingCode.ENCODING_OF_KEYS_ONLY, ("url_encoding", "keys"))
    return ok(FindingCode.ENCODING_COMPLETE, ("url_encoding", "all"))


def listed_keys(probe: Probe) -> list[str]:
    """The odd keys as Partway reads them, given the encoding that was found."""
    finding = _encoding(probe)
    encoding = finding.flag[1] if finding.flag else "all"
    fields = probe.requester.list_uploads(odd_prefix(probe), encoded=encoding != "none")
    page = xml.uploads_page(fields, markers_encoded=encoding == "all")
    return [upload.key for upload in page.uploads]


def _can_list(probe: Probe) -> bool:
    """Whether a listing by prefix holds every upload that was started, in a known encoding."""
    return probe.worked("prefix") and probe.worked("encoding")


def _odd_key(odd: OddKey, probe: Probe) -> Finding:
    """First an upload with the key, which creates nothing that lasts, then an object."""
    key = odd_prefix(probe) + odd.key
    normalized = odd_prefix(probe) + odd.normalized if odd.normalized else ""
    if finding := _as_upload(probe, odd, key):
        return finding
    return _as_object(probe, odd, key, normalized)


def _as_upload(probe: Probe, odd: OddKey, key: str) -> Finding | None:
    refusal = probe.once(_Started).refusals.get(odd.key)
    if refusal is not None:
        return _refused(refusal)
    if _can_list(probe) and key not in probe.once(listed_keys):
        return failed(FindingCode.KEY_LISTED_OTHERWISE)
    return None


def _as_object(probe: Probe, odd: OddKey, key: str, normalized: str) -> Finding:
    """Put an object, and look for it at this key and at the key that normalizing gives."""
    size = ODD_KEYS.index(odd) + 1 if odd in ODD_KEYS else len(ODD_KEYS) + 1
    if not probe.worked("delete-object"):
        return ok(FindingCode.KEY_WORKS_FOR_UPLOADS)
    try:
        probe.requester.put_object(key, b"x" * size)
    except ObjectStoreError as error:
        if not _is_about_the_key(error):
            raise
        return _refused(error)
    if not probe.worked("head-object"):
        return ok(FindingCode.KEY_ACCEPTED)
    return _object_at(probe, key, normalized, size)


def _object_at(probe: Probe, key: str, normalized: str, size: int) -> Finding:
    if normalized and is_there(probe, normalized):
        # The object of the other key was written, so that one has to be removed too.
        probe.requester.created.object_starting(normalized)
        return differs(FindingCode.KEY_IS_PATH, ("keys_are_paths", True))
    try:
        facts = probe.requester.client.head_object(probe.requester.bucket, key)
    except Refused as refused:
        if refused.reason is not Reason.NO_SUCH_KEY:
            raise
        return failed(FindingCode.KEY_NOT_FOUND)
    if facts.size != size:
        return failed(FindingCode.KEY_HOLDS_ANOTHER_OBJECT)
    # If an earlier key was treated as a path, all keys are.
    flag = ("keys_are_paths", probe.flags.get("keys_are_paths", False)) if normalized else None
    return ok(FindingCode.KEY_WORKS, flag)


def _refused(error: ObjectStoreError) -> Finding:
    if error.reason is Reason.BAD_KEY:
        return differs(FindingCode.KEY_REFUSED_BY_PROFILE)
    if error.reason is Reason.CREDENTIALS:
        return finding_of(error, FindingCode.KEY_REWRITTEN)
    return finding_of(error, FindingCode.KEY_REFUSED, Verdict.DIFFERS)


LEADING = OddKey("key-leading", "leading", "leading")


def _leading(probe: Probe) -> Finding:
    """The slash comes before the scratch prefix."""
    if not probe.profile.leading_slash:
        return differs(FindingCode.LEADING_SLASH_REFUSED_BY_PROFILE)
    key, normalized = "/" + probe.prefix + LEADING.key, probe.prefix + LEADING.normalized
    try:
        probe.requester.start_upload(key)
    except ObjectStoreError as error:
        if not _is_about_the_key(error):
            raise
        return _refused(error)
    if _can_list(probe):
        page = xml.uploads_page(probe.requester.list_uploads("/" + probe.prefix), markers_encoded=False)
        if [upload.key for upload in page.uploads] != [key]:
            return failed(FindingCode.LEADING_KEY_LISTED_OTHERWISE)
    return _as_object(probe, LEADING, key, normalized)


def _check(odd: OddKey, run: Callable[[Probe], Finding]) -> Check:
    return Check(odd.name, Group.KEYS, run, ("create", "abort", "put-object"))


ENCODING = Check("encoding", Group.LISTING, _encoding, ("prefix",))
CHECKS = (*(_check(odd, partial(_odd_key, odd)) for odd in ODD_KEYS), _check(LEADING, _leading))
