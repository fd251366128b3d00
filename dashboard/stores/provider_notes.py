"""A provider's ways in words, each with its source: what is other than S3 has it, and what Partway makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dashboard.shared.formatting import bytes_text
from uploads.objectstore.providers import PROVIDERS, Provider

ADDRESSING = {"path": "path", "virtual": "virtual-hosted"}
SIGNATURE = {"sigv4": "AWS V4", "oss4": "OSS V4"}

LIFECYCLE = {
    "s3": "Lifecycle rules end uploads by the days since they began (DaysAfterInitiation).",
    "oss": "Lifecycle rules end uploads by the days since their last change (Days).",
    "none": "No lifecycle rule ends uploads.",
}
FORBID_OVERWRITE = {
    "": "Nothing makes it refuse to replace an object: one that appears while a file is sent is replaced.",
    "x-oss-forbid-overwrite": "It refuses to replace an object (x-oss-forbid-overwrite).",
    "if-none-match": "It refuses to replace an object (If-None-Match).",
}
ORDERS = {
    "key": "Listings are ordered by key.",
    "key/upload-id": "Listings are ordered by key and upload id joined with a slash.",
    "key.upload-id": "Listings are ordered by key and upload id joined with a dot.",
    "none": "Listings have no order that could be relied on.",
}
URL_ENCODING = {
    "all": "Listings come encoded as asked.",
    "keys": "In listings only keys come encoded; markers and common prefixes come as they are.",
    "none": "In listings encoding-type is ignored, or obeyed without a word: it is not asked for.",
}

IN_LIMITS = frozenset({"min_part_size", "max_part_size", "max_parts", "max_object_size", "equal_parts"})
"""What the sentence of the limits says."""

WORDS: Mapping[str, Callable[[Provider], str]] = {
    "addressing": lambda each: f"Buckets are addressed {ADDRESSING[each.addressing]}.",
    "signature": lambda each: f"Requests are signed as {SIGNATURE[each.signature]} has it.",
    "region_prefix": lambda each: (
        f"A region may be written with {each.region_prefix} before it."
        if each.region_prefix
        else "Regions are written as they are signed."
    ),
    "regions_elsewhere": lambda each: (
        f"Regions that begin with {each.regions_elsewhere} have endpoints of their own: name them."
        if each.regions_elsewhere
        else "All regions have the same kind of endpoint."
    ),
    "any_signature": lambda each: "Either signature may be chosen." if each.any_signature else "One signature only.",
    "max_key_bytes": lambda each: f"Keys have at most {each.max_key_bytes:,} bytes.",
    "leading_slash": lambda each: _either(
        each.leading_slash, "Keys may begin with a slash.", "Keys begin with no slash or backslash."
    ),
    "keys_are_paths": lambda each: _either(
        each.keys_are_paths,
        "Keys become file paths: none with //, . or .. is begun, it would be another key's object.",
        "Keys are kept as they are.",
    ),
    "etag_is_md5": lambda each: _either(
        each.etag_is_md5, "A part's ETag is its MD5.", "A part's ETag is not taken for its MD5."
    ),
    "joined_etag": lambda each: _either(
        each.joined_etag,
        "A completed object's ETag is compared with that of its parts.",
        "A completed object's ETag says nothing of its bytes.",
    ),
    "crc64": lambda each: f"An object's CRC-64 is of the polynomial {each.crc64.upper()}.",
    "checksum_headers": lambda each: _either(
        each.checksum_headers, "Checksum headers may be sent.", "No x-amz-checksum headers are sent."
    ),
    "asks_checksums": lambda each: _either(
        each.asks_checksums, "An object's checksum is asked for.", "An object's checksum comes unasked, if at all."
    ),
    "lists_uploads": lambda each: _either(
        each.lists_uploads,
        "Uploads in progress can be listed.",
        "Uploads in progress cannot be listed: they are opened by key and upload id.",
    ),
    "listed_by": lambda each: _either(
        bool(each.listed_by),
        f"The provider {PROVIDERS[each.listed_by].label if each.listed_by else ''} lists the uploads of these buckets.",
        "No other provider is needed to list uploads.",
    ),
    "delimiter": lambda each: _either(
        each.delimiter == "works",
        "Uploads are grouped by a delimiter.",
        "A delimiter hides uploads: folders are made here.",
    ),
    "key_marker_inclusive": lambda each: _either(
        each.key_marker_inclusive,
        "A key marker alone lists the uploads of that key again: repeats are dropped.",
        "A listing goes on strictly after its key marker.",
    ),
    "order": lambda each: ORDERS[each.order],
    "marker_pair": lambda each: _either(
        each.marker_pair == "as-given",
        "Pages are asked for with the markers that the store gives.",
        "It refuses its own pair of markers: the next page is asked for from just before the key.",
    ),
    "exact_prefix": lambda each: _either(
        each.exact_prefix, "A prefix finds the uploads of exactly that key only.", "Any prefix can be asked for."
    ),
    "url_encoding": lambda each: URL_ENCODING[each.url_encoding],
    "prefixes_ahead": lambda each: _either(
        each.prefixes_ahead,
        "Folders of later pages come early and again: repeats are dropped.",
        "Folders come on the page they belong to.",
    ),
    "empty_markers": lambda each: _either(
        each.empty_markers, "A truncated page may name no markers.", "Truncated pages name their markers."
    ),
    "forgets": lambda each: _either(
        each.forgets, "Listings may leave out uploads whose parts are there.", "Listings forget no upload."
    ),
    "keeps_ended": lambda each: _either(
        each.keeps_ended, "Listings may keep uploads that have ended.", "Uploads that have ended leave the listings."
    ),
    "control_characters": lambda each: _either(
        each.control_characters,
        "Control characters in keys do no harm.",
        "Uploads on keys with control characters break listings: none are begun.",
    ),
    "forbid_overwrite": lambda each: FORBID_OVERWRITE[each.forbid_overwrite],
    "lifecycle": lambda each: LIFECYCLE[each.lifecycle],
}
"""A sentence for each field of the profile; a test holds this complete."""


@dataclass(frozen=True, slots=True)
class Way:
    """One of a provider's ways. `source` is where it is written, or on what it was tried."""

    text: str
    source: str


def limits(provider: Provider) -> str:
    """What files and parts may be, in a sentence."""
    parts = f"Parts of {bytes_text(provider.min_part_size)} to {bytes_text(provider.max_part_size)}"
    equal = ", all but the last equal" if provider.equal_parts else ""
    return f"{parts}{equal}, at most {provider.max_parts:,}; objects of up to {bytes_text(provider.max_object_size)}."


def way(provider: Provider, name: str) -> str:
    """What one field of the profile says, in a sentence. A field without words is no reason for a page to fail."""
    if name in IN_LIMITS:
        return limits(provider)
    if name in WORDS:
        return WORDS[name](provider)
    return f"{name.replace('_', ' ').capitalize()}: {getattr(provider, name)}."


def ways(provider: Provider) -> list[Way]:
    """What is other than S3 has it: each sentence once, with all its sources."""
    found: dict[str, list[str]] = {}
    for name, source in provider.sources.items():
        sources = found.setdefault(way(provider, name), [])
        if source not in sources:
            sources.append(source)
    return [Way(text, "; ".join(sources)) for text, sources in found.items()]


def _either(holds: bool, yes: str, no: str) -> str:
    return yes if holds else no
