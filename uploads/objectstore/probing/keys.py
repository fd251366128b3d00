"""Keys that something on the way likes to rewrite: each must be itself, in listings and as an object, or be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from uploads.objectstore import xml
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.failures import finding_of
from uploads.objectstore.probing.listing import listable
from uploads.objectstore.probing.permissions import is_there
from uploads.objectstore.probing.probe import CannotTry, Check, Probe
from uploads.objectstore.probing.results import Finding, Group, Verdict, differs, failed, ok


@dataclass(frozen=True, slots=True)
class Odd:
    """`key` and the key that it would become where something tidies paths up, both below a prefix."""

    name: str
    title: str
    key: str
    twin: str = ""


# The first two need encoding, so that a page of two ends on a marker that tells whether markers are encoded.
ODD = (
    Odd("key-plus", "A key with blank, plus and percent", "1 b+c%25"),
    Odd("key-unicode", "A key in Unicode", "2 grüße-日本-🙂"),
    Odd("key-query", "A key with ? and #", "3?x#y&z=1"),
    Odd("key-dots", "A key with a dot segment", "4/../b", "b"),
    Odd("key-slashes", "A key with a double slash", "5//b", "5/b"),
)
PAIR = 2

AVOID = "Do not use such keys in this store."


def odd_prefix(probe: Probe) -> str:
    return probe.prefix + "odd/"


class _Begun:
    """Uploads on odd keys: which were begun, and why others were not."""

    def __init__(self, probe: Probe) -> None:
        self.refusals: dict[str, ObjectStoreError] = {}
        for odd in ODD:
            try:
                probe.requester.start_upload(odd_prefix(probe) + odd.key)
            except ObjectStoreError as error:
                if not _is_about_the_key(error):
                    raise
                self.refusals[odd.key] = error


def _is_about_the_key(error: ObjectStoreError) -> bool:
    """Refused by the store for what it is, or by our own client for what the profile says."""
    passing = {Reason.PERMISSION, Reason.THROTTLED, Reason.STORE_FAULT}
    return error.reason is Reason.BAD_KEY or (isinstance(error, Refused) and error.reason not in passing)


def encoded(probe: Probe) -> xml.Fields:
    """A page of the two keys that need encoding most, asked for encoding-type=url; more follow."""
    probe.once(listable)
    begun = probe.once(_Begun)
    if any(odd.key in begun.refusals for odd in ODD[:PAIR]):
        raise CannotTry("uploads on the keys that need it were refused")
    return probe.requester.list_uploads(odd_prefix(probe), max_uploads=PAIR, encoded=True)


def _encoding(probe: Probe) -> Finding:
    fields = probe.once(encoded)
    prefix = odd_prefix(probe)
    plain = [prefix + odd.key for odd in ODD[:PAIR]]
    keys = [xml.get(node, "Key") for name, node in fields if name == "Upload" and isinstance(node, list)]
    # Where pages are longer than asked, or in another order, others are among them.
    raw = [key for key in keys if key in plain or xml.decode(key) in plain]
    if len(raw) < PAIR and probe.flags.get("order") == "none":
        raise CannotTry("uploads come in no order")
    said_so = xml.get(fields, "EncodingType").strip().lower() == "url"
    if sorted(raw) == sorted(plain):
        if said_so:
            said = "Keys come as they are, and are called encoded."
            return differs(said, "encoding-type is not asked for.", ("url_encoding", "none"))
        return differs("encoding-type is ignored.", "It is not asked for.", ("url_encoding", "none"))
    if sorted(map(xml.decode, raw)) != sorted(plain):
        return failed("Asked for encoding-type=url, the store lists other keys.", "Compare keys before aborting.")
    if not said_so:
        said = "Keys come encoded, and the answer does not say so."
        return differs(said, "encoding-type is not asked for.", ("url_encoding", "none"))
    return _encoded_markers(xml.get(fields, "NextKeyMarker"), plain)


def _encoded_markers(marker: str, plain: list[str]) -> Finding:
    if marker in plain:
        said = "Only the keys of uploads come encoded; markers come as they are."
        return differs(said, "Markers are taken as they are.", ("url_encoding", "keys"))
    return ok("Keys and markers come encoded, and the answer says so.", ("url_encoding", "all"))


def listed_keys(probe: Probe) -> list[str]:
    """The odd keys as Partway reads them, with what was found out about their encoding."""
    finding = _encoding(probe)
    way = finding.flag[1] if finding.flag else "all"
    fields = probe.requester.list_uploads(odd_prefix(probe), encoded=way != "none")
    page = xml.uploads_page(fields, markers_encoded=way == "all")
    return [upload.key for upload in page.uploads]


def _can_list(probe: Probe) -> bool:
    """Whether a listing by prefix holds what was begun, and its encoding is known."""
    return probe.worked("prefix") and probe.worked("encoding")


def _odd_key(odd: Odd, probe: Probe) -> Finding:
    """First an upload of that key, which begins nothing for good, then an object."""
    key, twin = odd_prefix(probe) + odd.key, odd_prefix(probe) + odd.twin if odd.twin else ""
    if found := _as_upload(probe, odd, key):
        return found
    return _as_object(probe, odd, key, twin)


def _as_upload(probe: Probe, odd: Odd, key: str) -> Finding | None:
    refusal = probe.once(_Begun).refusals.get(odd.key)
    if refusal is not None:
        return _refused(refusal)
    if _can_list(probe) and key not in probe.once(listed_keys):
        return failed("An upload of this key is listed under another one.", "Do not abort such uploads from a listing.")
    return None


def _as_object(probe: Probe, odd: Odd, key: str, twin: str) -> Finding:
    """Put, and looked for under this key and under the one it might have become."""
    size = ODD.index(odd) + 1 if odd in ODD else len(ODD) + 1
    if not probe.worked("delete-object"):
        return ok("An upload of this key is listed as itself.")
    try:
        probe.requester.put_object(key, b"x" * size)
    except ObjectStoreError as error:
        if not _is_about_the_key(error):
            raise
        return _refused(error)
    if not probe.worked("head-object"):
        return ok("An upload of this key is listed as itself, and an object is taken.")
    return _looked_for(probe, key, twin, size)


def _looked_for(probe: Probe, key: str, twin: str, size: int) -> Finding:
    if twin and is_there(probe, twin):
        return _path(probe, twin)
    try:
        facts = probe.requester.client.head_object(probe.requester.bucket, key)
    except Refused as refused:
        if refused.reason is not Reason.NO_SUCH_KEY:
            raise
        return failed("What is put under this key is not found again.", AVOID)
    if facts.size != size:
        return failed("Another key's object is found under this key.", AVOID)
    # A path is a path for the other keys too, which were tried before.
    flag = ("keys_are_paths", probe.flags.get("keys_are_paths", False)) if twin else None
    return ok("This key is itself, as an upload and as an object.", flag)


def _path(probe: Probe, twin: str) -> Finding:
    """The object of another key was written, which has to be cleaned up too."""
    probe.requester.created.object_starting(twin)
    said = "Keys are taken for file paths: this one is another key's object."
    return differs(said, "Such keys are refused before anything is sent.", ("keys_are_paths", True))


def _refused(error: ObjectStoreError) -> Finding:
    if error.reason is Reason.BAD_KEY:
        return differs("Such keys are another key's object here, says the profile.", "They are refused here.")
    if error.reason is Reason.CREDENTIALS:
        return finding_of(error, "Something on the way, or the store, rewrites such keys: no signature fits. " + AVOID)
    found = finding_of(error)
    return replace(found, verdict=Verdict.DIFFERS, advice="Nothing is written elsewhere.")


LEADING = Odd("key-leading", "A key that begins with a slash", "leading", "leading")


def _leading(probe: Probe) -> Finding:
    """Its scratch prefix begins with the slash."""
    if not probe.profile.leading_slash:
        said = "Keys may not begin with a slash or backslash here, says the profile."
        return differs(said, "Such keys are refused before anything is sent.")
    key, twin = "/" + probe.prefix + LEADING.key, probe.prefix + LEADING.twin
    try:
        probe.requester.start_upload(key)
    except ObjectStoreError as error:
        if not _is_about_the_key(error):
            raise
        return _refused(error)
    if _can_list(probe):
        page = xml.uploads_page(probe.requester.list_uploads("/" + probe.prefix), markers_encoded=False)
        if [upload.key for upload in page.uploads] != [key]:
            said = "An upload of this key is listed under another one, or not at all."
            return failed(said, "Do not begin uploads on such keys.")
    return _as_object(probe, LEADING, key, twin)


def _check(odd: Odd, run: Callable[[Probe], Finding]) -> Check:
    return Check(odd.name, odd.title, Group.KEYS, run, ("create", "abort", "put-object"))


ENCODING = Check("encoding", "encoding-type=url", Group.LISTING, _encoding, ("prefix",))
CHECKS = (*(_check(odd, partial(_odd_key, odd)) for odd in ODD), _check(LEADING, _leading))
