"""Keys that intermediaries tend to rewrite: each must stay itself, in listings and as an object, or be refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from uploads.objectstore import xml
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.failures import finding_of, is_fault
from uploads.objectstore.probing.listing import listable
from uploads.objectstore.probing.permissions import is_there
from uploads.objectstore.probing.probe import Check, NotTried, Probe
from uploads.objectstore.probing.results import Finding, Flag, Group, Verdict, differs, failed, ok
from uploads.objectstore.successes import upload_of_other_key
from uploads.objectstore.types import MAX_PAGE
from uploads.objectstore.xml_tree import Fields, get
from uploads.problems import Problem


@dataclass(frozen=True, slots=True)
class Confusion:
    """A way to confuse a key with another one: the finding, and the field of the profile that then refuses such keys.

    `value` is that of the field if the store confuses the keys.
    """

    code: FindingCode
    field: str
    value: bool


PATHS = Confusion(FindingCode.KEY_IS_PATH, "keys_are_paths", True)
LEADING_SLASH = Confusion(FindingCode.LEADING_SLASH_DROPPED, "leading_slash", False)


@dataclass(frozen=True, slots=True)
class OddKey:
    """`key` and the key that normalizing it as a path would give, both below a prefix. `name` is the check's."""

    name: str
    key: str
    normalized: str = ""
    confusion: Confusion = PATHS

    def names_another(self) -> Finding:
        """The store takes the key for the normalized one."""
        return differs(self.confusion.code, (self.confusion.field, self.confusion.value))

    def keeps(self, flags: Mapping[str, object]) -> Flag | None:
        """What it shows that the store keeps the key. If an earlier key was confused in this way, all keys are."""
        field = self.confusion.field
        return (field, flags.get(field, not self.confusion.value)) if self.normalized else None


# The first two need encoding, so that a page of two ends on a marker that shows whether markers are encoded.
ODD_KEYS = (
    OddKey("key-plus", "1 b+c%25"),
    OddKey("key-unicode", "2 grüße-日本-🙂"),
    OddKey("key-query", "3?x#y&z=1"),
    OddKey("key-dots", "4/../b", "b"),
    OddKey("key-slashes", "5//b", "5/b"),
)
NEED_ENCODING = ODD_KEYS[:3]
PAIR = 2

NO_ENCODING = ("url_encoding", "none")


def odd_prefix(probe: Probe) -> str:
    return probe.prefix + "odd/"


class _Started:
    """Uploads with odd keys: those that could not be started, with the error. One key says nothing about another."""

    def __init__(self, probe: Probe) -> None:
        self.errors: dict[str, ObjectStoreError] = {}
        for odd in ODD_KEYS:
            try:
                probe.requester.start_upload(odd_prefix(probe) + odd.key)
            except ObjectStoreError as error:
                if not _may_be_about_the_key(error):
                    raise
                self.errors[odd.key] = error

    @property
    def pair(self) -> list[str]:
        """The first two keys that need encoding and have an upload."""
        return [odd.key for odd in NEED_ENCODING if odd.key not in self.errors][:PAIR]


def _may_be_about_the_key(error: ObjectStoreError) -> bool:
    """Whether another key may fare better: the store, or our own client, refused the key, or the store failed on it."""
    if isinstance(error, NotSent):
        return error.reason is Reason.BAD_KEY
    return not error.is_denied and error.reason not in {Reason.THROTTLED, Reason.TIMEOUT, Reason.STORE_FULL}


def encoded(probe: Probe) -> Fields:
    """A page of the two keys that need encoding most, requested with encoding-type=url; more follow.

    If the listing is ordered by upload id, it is a page of all keys: any of them may be first.
    """
    probe.once(listable)
    if len(probe.once(_Started).pair) < PAIR:
        raise NotTried(Problem(FindingCode.ENCODED_KEYS_REFUSED))
    size = MAX_PAGE if probe.flags.get("order") == "upload-id" else PAIR
    return probe.requester.list_uploads(odd_prefix(probe), max_uploads=size, encoded=True)


def _encoding(probe: Probe) -> Finding:
    fields, started = probe.once(encoded), probe.once(_Started)
    prefix = odd_prefix(probe)
    plain = [prefix + key for key in started.pair]
    keys = [get(node, "Key") for name, node in fields if name == "Upload" and isinstance(node, list)]
    # A page that is longer than requested, or in another order, also holds other keys.
    raw = [key for key in keys if key in plain or xml.decode(key) in plain]
    if len(raw) < PAIR and probe.flags.get("order") == "none":
        raise NotTried(Problem(FindingCode.NEEDS_ORDER))
    if len(raw) < PAIR and any(is_fault(error) for error in started.errors.values()):
        # An upload that the store has started although it reported a fault takes the place of another on the page.
        raise NotTried(Problem(FindingCode.ENCODED_KEYS_REFUSED))
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
    if finding := _as_upload(probe, odd, key, normalized):
        return finding
    return _as_object(probe, odd, key, normalized)


def _as_upload(probe: Probe, odd: OddKey, key: str, normalized: str) -> Finding | None:
    error = probe.once(_Started).errors.get(odd.key)
    if error is not None:
        return odd.names_another() if _is_about(error, normalized) else _not_usable(error)
    if not _can_list(probe):
        return None
    listed = probe.once(listed_keys)
    if key in listed:
        return None
    return odd.names_another() if normalized in listed else failed(FindingCode.KEY_LISTED_OTHERWISE)


def _as_object(probe: Probe, odd: OddKey, key: str, normalized: str) -> Finding:
    """Put an object, and look for it at this key and at the key that normalizing gives."""
    size = ODD_KEYS.index(odd) + 1 if odd in ODD_KEYS else len(ODD_KEYS) + 1
    if not probe.worked("delete-object"):
        return ok(FindingCode.KEY_WORKS_FOR_UPLOADS)
    try:
        probe.requester.put_object(key, b"x" * size)
    except ObjectStoreError as error:
        if not _may_be_about_the_key(error):
            raise
        return _not_usable(error)
    if not probe.worked("head-object"):
        return ok(FindingCode.KEY_ACCEPTED)
    return _object_at(probe, odd, key, normalized, size)


def _object_at(probe: Probe, odd: OddKey, key: str, normalized: str, size: int) -> Finding:
    if normalized and is_there(probe, normalized):
        # The object of the other key was written, so that one has to be removed too.
        probe.requester.created.object_starting(normalized)
        return odd.names_another()
    try:
        facts = probe.requester.client.head_object(probe.requester.bucket, key)
    except Refused as refused:
        if refused.reason is not Reason.NO_SUCH_KEY:
            raise
        return failed(FindingCode.KEY_NOT_FOUND)
    if facts.size != size:
        return failed(FindingCode.KEY_HOLDS_ANOTHER_OBJECT)
    return ok(FindingCode.KEY_WORKS, odd.keeps(probe.flags))


def _is_about(error: ObjectStoreError, key: str) -> bool:
    """Whether a store has created an upload with this key instead of the requested one."""
    other = upload_of_other_key(error)
    return other is not None and other.key == key


def _not_usable(error: ObjectStoreError) -> Finding:
    """What a request with the key, which failed, shows about the key."""
    if error.reason is Reason.BAD_KEY:
        return differs(FindingCode.KEY_REFUSED_BY_PROFILE)
    if error.reason is Reason.CREDENTIALS:
        return finding_of(error, FindingCode.KEY_REWRITTEN)
    if isinstance(error, Refused) and not is_fault(error):
        return finding_of(error, FindingCode.KEY_REFUSED, Verdict.DIFFERS)
    return finding_of(error, verdict=Verdict.UNKNOWN)


LEADING = OddKey("key-leading", "leading", "leading", LEADING_SLASH)


def _leading(probe: Probe) -> Finding:
    """The slash comes before the scratch prefix."""
    if not probe.profile.leading_slash:
        return differs(FindingCode.LEADING_SLASH_REFUSED_BY_PROFILE)
    key, normalized = "/" + probe.prefix + LEADING.key, probe.prefix + LEADING.normalized
    try:
        probe.requester.start_upload(key)
    except ObjectStoreError as error:
        if not _may_be_about_the_key(error):
            raise
        return LEADING.names_another() if _is_about(error, normalized) else _not_usable(error)
    if _can_list(probe) and _keys(probe, key) != [key]:
        confused = normalized in _keys(probe, normalized)
        return LEADING.names_another() if confused else failed(FindingCode.LEADING_KEY_LISTED_OTHERWISE)
    return _as_object(probe, LEADING, key, normalized)


def _keys(probe: Probe, prefix: str) -> list[str]:
    """The keys of the listed uploads under a prefix that needs no encoding."""
    return [upload.key for upload in probe.requester.page(prefix).uploads]


def _check(odd: OddKey, run: Callable[[Probe], Finding]) -> Check:
    return Check(odd.name, Group.KEYS, run, ("create", "abort", "put-object"))


ENCODING = Check("encoding", Group.LISTING, _encoding, ("prefix",))
CHECKS = (*(_check(odd, partial(_odd_key, odd)) for odd in ODD_KEYS), _check(LEADING, _leading))
