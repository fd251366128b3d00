"""A provider's profile in sentences, each with its source: where the store differs from S3, and what Partway does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.shared.formatting import bytes_text
from dashboard.shared.messages import shown
from dashboard.shared.messages.providers import sources_of
from uploads.objectstore.providers import PROVIDERS, Provider

Text = Promise | str

ADDRESSING: Mapping[str, Text] = {"path": gettext_lazy("path"), "virtual": gettext_lazy("virtual-hosted")}
SIGNATURE: Mapping[str, str] = {"sigv4": "AWS V4", "oss4": "OSS V4"}

LIFECYCLE: Mapping[str, Text] = {
    "s3": gettext_lazy("Lifecycle rules abort uploads a number of days after they started (DaysAfterInitiation)."),
    "oss": gettext_lazy("Lifecycle rules abort uploads a number of days after their last change (Days)."),
    "gcs": gettext_lazy(
        "Lifecycle rules abort uploads a number of days after they started (Age). Partway reads these rules and does "
        "not write them."
    ),
    "none": gettext_lazy("No lifecycle rule aborts uploads."),
}
FORBID_OVERWRITE: Mapping[str, Text] = {
    "": gettext_lazy(
        "It cannot refuse to replace an object. Partway looks for one immediately before it creates its own, so that "
        "only an object that appears in the moment after that is lost."
    ),
    "x-oss-forbid-overwrite": gettext_lazy("It can refuse to replace an object (x-oss-forbid-overwrite)."),
    "if-none-match": gettext_lazy("It can refuse to replace an object (If-None-Match)."),
}
ORDERS: Mapping[str, Text] = {
    "key": gettext_lazy("Listings are ordered by key."),
    "key/upload-id": gettext_lazy("Listings are ordered by key and upload id, joined with a slash."),
    "key.upload-id": gettext_lazy("Listings are ordered by key and upload id, joined with a dot."),
    "upload-id": gettext_lazy("Listings are ordered by upload id."),
    "none": gettext_lazy("Listings are in no reliable order."),
}
MARKER_PAIRS: Mapping[str, Text] = {
    "as-given": gettext_lazy("Pages are requested with the markers that the store returned."),
    "key-before": gettext_lazy(
        "It refuses its own pair of markers. Partway requests the next page just before the key."
    ),
    "upload-id": gettext_lazy("Pages continue after an upload id alone. Partway sends no key marker."),
}
URL_ENCODING: Mapping[str, Text] = {
    "all": gettext_lazy("Listings are encoded as requested."),
    "keys": gettext_lazy("In listings, only keys are encoded. Markers and common prefixes are not."),
    "none": gettext_lazy(
        "In listings, encoding-type is ignored, or obeyed without being declared. Partway does not request it."
    ),
}

IN_LIMITS = frozenset({"min_part_size", "max_part_size", "max_parts", "max_object_size", "equal_parts"})
"""The fields that `limits` describes."""


def _choice(texts: Mapping[str, Text], name: str) -> Callable[[Provider], str]:
    return lambda profile: str(texts[getattr(profile, name)])


def _either(name: str, yes: Text, no: Text) -> Callable[[Provider], str]:
    """A text with the profile's value of the field as `%(value)s`, by whether that value is true."""

    def text(profile: Provider) -> str:
        value = getattr(profile, name)
        return str(yes if value else no) % {"value": value}

    return text


def _two(name: str, first: str, yes: Text, no: Text) -> Callable[[Provider], str]:
    return lambda profile: str(yes if getattr(profile, name) == first else no)


def _listed_by(profile: Provider) -> str:
    if not profile.listed_by:
        return _("No other provider is needed to list uploads.")
    label = label_of(profile.listed_by)
    return _("The provider “%(provider)s” lists the uploads of these buckets.") % {"provider": label}


def _max_key_bytes(profile: Provider) -> str:
    count = profile.max_key_bytes
    text = ngettext("Keys have at most %(count)s byte.", "Keys have at most %(count)s bytes.", count)
    return text % shown({"count": count})


NOTES: Mapping[str, Callable[[Provider], str]] = {
    "addressing": lambda each: (
        _("Buckets are addressed in this style: %(style)s.") % {"style": ADDRESSING[each.addressing]}
    ),
    "signature": lambda each: _("Requests are signed with %(signature)s.") % {"signature": SIGNATURE[each.signature]},
    "region_prefix": _either(
        "region_prefix",
        gettext_lazy("A region can be entered with “%(value)s” before it."),
        gettext_lazy("Regions are entered as they are signed."),
    ),
    "regions_elsewhere": _either(
        "regions_elsewhere",
        gettext_lazy("Regions that start with “%(value)s” have other endpoints: enter their URLs."),
        gettext_lazy("The endpoints of all regions follow one pattern."),
    ),
    "any_signature": _either(
        "any_signature", gettext_lazy("Both signatures can be selected."), gettext_lazy("One signature only.")
    ),
    "max_key_bytes": _max_key_bytes,
    "leading_slash": _either(
        "leading_slash",
        gettext_lazy("Keys can start with a slash."),
        gettext_lazy("Keys cannot start with a slash or backslash."),
    ),
    "trailing_slash": _either(
        "trailing_slash",
        gettext_lazy("Keys can end with a slash."),
        gettext_lazy("A key that ends with a slash is a folder without bytes. Partway refuses such keys."),
    ),
    "max_segment_bytes": _either(
        "max_segment_bytes",
        gettext_lazy("Between two slashes, keys have at most %(value)s bytes."),
        gettext_lazy("The segments of keys may have any length."),
    ),
    "keys_are_paths": _either(
        "keys_are_paths",
        gettext_lazy(
            "Keys become file paths. Partway refuses keys with //, . or .. segments: each names another key's object."
        ),
        gettext_lazy("Keys are kept as they are."),
    ),
    "etag_is_md5": _either(
        "etag_is_md5",
        gettext_lazy("An ETag of 32 hex digits is compared with the MD5 of the part."),
        gettext_lazy(
            "The ETags of parts are no MD5s, so they do not show whether the store received the bytes unchanged."
        ),
    ),
    "joined_etag": _either(
        "joined_etag",
        gettext_lazy("The ETag of a completed object is compared with that of its parts."),
        gettext_lazy("The ETag of a completed object does not depend on its bytes."),
    ),
    "crc64": lambda each: (
        _("The CRC-64 of an object uses the %(polynomial)s polynomial.") % {"polynomial": each.crc64.upper()}
    ),
    "requests_checksums": _either(
        "requests_checksums",
        gettext_lazy("Partway requests an object's checksum."),
        gettext_lazy("An object's checksum is returned without a request, if at all."),
    ),
    "lists_uploads": _either(
        "lists_uploads",
        gettext_lazy("Uploads in progress can be listed."),
        gettext_lazy("Uploads in progress cannot be listed. Open them by key and upload id."),
    ),
    "listed_by": _listed_by,
    "delimiter": _two(
        "delimiter",
        "works",
        gettext_lazy("Uploads are grouped by a delimiter."),
        gettext_lazy("A delimiter hides uploads. Partway groups folders itself."),
    ),
    "order": _choice(ORDERS, "order"),
    "rows_in_order": _either(
        "rows_in_order",
        gettext_lazy("The rows of a page are in the order of the listing."),
        gettext_lazy("Pages are in order, but not their rows. Partway sorts the rows of each page."),
    ),
    "marker_pair": _choice(MARKER_PAIRS, "marker_pair"),
    "loses_pages": _either(
        "loses_pages",
        gettext_lazy("Uploads are missing from the pages of listings, whatever markers are sent."),
        gettext_lazy("The pages of a listing hold every upload."),
    ),
    "exact_prefix": _either(
        "exact_prefix",
        gettext_lazy("A prefix finds only the uploads with exactly that key."),
        gettext_lazy("Any prefix can be requested."),
    ),
    "url_encoding": _choice(URL_ENCODING, "url_encoding"),
    "prefixes_ahead": _either(
        "prefixes_ahead",
        gettext_lazy("Pages name folders of later pages, and repeat them. Partway leaves out repeats."),
        gettext_lazy("Folders are on the page they belong to."),
    ),
    "forgets": _either(
        "forgets",
        gettext_lazy("Uploads may be missing from listings although their parts exist."),
        gettext_lazy("Listings contain every upload."),
    ),
    "keeps_ended": _either(
        "keeps_ended",
        gettext_lazy("Uploads that have ended may stay in listings."),
        gettext_lazy("Uploads that have ended leave the listings."),
    ),
    "checks_upload_ids": _either(
        "checks_upload_ids",
        gettext_lazy("Requests for an upload that does not exist are refused."),
        gettext_lazy(
            "An upload that does not exist has no parts instead of an error. Partway looks for it in the listing."
        ),
    ),
    "control_characters": _either(
        "control_characters",
        gettext_lazy("Keys can contain control characters."),
        gettext_lazy("Uploads whose keys contain control characters break listings. Partway starts none."),
    ),
    "forbid_overwrite": _choice(FORBID_OVERWRITE, "forbid_overwrite"),
    "dates_buckets": _either(
        "dates_buckets",
        gettext_lazy("The store names when each bucket was created."),
        gettext_lazy("The store does not know when a bucket was created, so no date is shown."),
    ),
    "if_match": _either(
        "if_match",
        gettext_lazy("A request can be limited to replacing the object with a certain ETag (If-Match)."),
        gettext_lazy(
            "A request cannot compare the object that it replaces. Partway compares it immediately before, so that "
            "only a change in the moment after that is lost."
        ),
    ),
    "keeps_part_copies": _either(
        "keeps_part_copies",
        gettext_lazy("A part that is sent twice is listed twice. Partway uses the newest copy, by its date."),
        gettext_lazy("A part that is sent twice is listed once."),
    ),
    "lifecycle": _choice(LIFECYCLE, "lifecycle"),
}
"""A sentence for each field of the profile; a test checks that none is missing."""


@dataclass(frozen=True, slots=True)
class Note:
    """One difference from S3. `source` is where it is documented, or on what it was tested."""

    text: str
    source: str


def label_of(name: str) -> str:
    """What a provider is called. Names of products are not translated; an unknown provider is shown by its name."""
    if name == "generic":
        return _("Another S3-compatible store")
    return PROVIDERS[name].label if name in PROVIDERS else name


def limits(provider: Provider) -> str:
    """The limits of files and parts, in sentences."""
    sizes = {
        "min_part": bytes_text(provider.min_part_size),
        "max_part": bytes_text(provider.max_part_size),
        "max_object": bytes_text(provider.max_object_size),
        **shown({"max_parts": provider.max_parts}),
    }
    if provider.equal_parts:
        text = _(
            "Parts of %(min_part)s to %(max_part)s, all equal except the last, at most %(max_parts)s; "
            "objects of up to %(max_object)s."
        )
        return text % sizes
    return _("Parts of %(min_part)s to %(max_part)s, at most %(max_parts)s; objects of up to %(max_object)s.") % sizes


def lifecycle(provider: Provider) -> str:
    return note(provider, "lifecycle")


def note(provider: Provider, name: str) -> str:
    """One field of the profile in a sentence. A field without a text is shown as it is, so that no page fails."""
    if name in IN_LIMITS:
        return limits(provider)
    if name in NOTES:
        return NOTES[name](provider)
    return f"{name}: {getattr(provider, name)}"


def notes(provider: Provider) -> list[Note]:
    """Everything that differs from S3: each sentence once, with all its sources."""
    found: dict[str, list[str]] = {}
    for name, source in sources_of(provider.name).items():
        sources = found.setdefault(note(provider, name), [])
        if source not in sources:
            sources.append(source)
    return [Note(text, "; ".join(sources)) for text, sources in found.items()]
