"""Reading what comes in with a request, exactly or not at all.

Django decodes a query with replacement characters and keeps the last of repeated values; a key read that way could be
another key. Here whatever cannot be read exactly raises BadParameter, which the pages answer with 400.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote

from django.http import HttpRequest
from django.utils.http import urlencode

from uploads.objectstore.types import DEFAULT_PAGE, MAX_PAGE, Marker, UploadRef, UploadsQuery

MAX_TEXT_BYTES = 1024
"""The longest key, prefix, marker or upload id: S3 and OSS allow keys of 1,024 bytes."""

MAX_TRAIL = 2000
"""Characters of the trail in a URL: with the longest markers beside it the URL stays below the 8 KB servers take."""
MAX_TRAIL_BYTES = 256 * 1024


class BadParameter(Exception):
    """A value that cannot be used; the message names it and says what is allowed."""


class Query:
    """The query string, decoded strictly: every value valid UTF-8 without NUL, each name at most once."""

    def __init__(self, request: HttpRequest, *, repeatable: frozenset[str] = frozenset()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in _pairs(request.META.get("QUERY_STRING", "")):
            self._values.setdefault(name, []).append(value)
        for name, values in self._values.items():
            if len(values) > 1 and name not in repeatable:
                raise BadParameter(f"{name} is given {len(values)} times: it is allowed once.")

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def text(self, name: str) -> str:
        """At most 1,024 bytes of text; '' where it is not given."""
        values = self._values.get(name)
        return check_text(name, values[0]) if values else ""

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number from `lowest` to `highest`; `default` where it is not given or empty."""
        text = (self._values.get(name) or [""])[0]
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and lowest <= int(text) <= highest):
            raise BadParameter(f"{name} is {text[:50]!r}: a whole number from {lowest:,} to {highest:,} is allowed.")
        return int(text)


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PAGE + 100)
    except UnicodeDecodeError:
        raise BadParameter("The query is not valid UTF-8: percent-encoded UTF-8 is allowed.") from None
    except ValueError:
        raise BadParameter(f"The query names too much: at most {MAX_PAGE:,} uploads are allowed.") from None


def check_text(name: str, value: str) -> str:
    """The value itself. BadParameter where no store could take it exactly."""
    if "\0" in value:
        raise BadParameter(f"{name} holds a NUL character: every other character is allowed.")
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise BadParameter(f"{name} has {size:,} bytes: at most {MAX_TEXT_BYTES:,} are allowed.")
    return value


# --- The listing ------------------------------------------------------------------------------------------------------


def read_listing(query: Query) -> UploadsQuery:
    """What a page of ListMultipartUploads is asked."""
    return UploadsQuery(
        prefix=query.text("prefix"),
        delimiter=query.text("delimiter"),
        max_uploads=query.number("max-uploads", DEFAULT_PAGE, 1, MAX_PAGE),
        key_marker=query.text("key-marker"),
        upload_id_marker=query.text("upload-id-marker"),
        whole_key=query.text("whole-key") == "1",
    )


def write_trail(markers: Sequence[Marker]) -> str:
    """The markers of the pages before this one, oldest first, for a URL.

    The oldest are dropped until it fits: 'previous' then ends before the first page does, which stays one click away.
    """
    kept = list(markers)
    while kept:
        packed = zlib.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(), 9)
        trail = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        if len(trail) <= MAX_TRAIL:
            return trail
        # Drop in proportion to what is too much, so that a long trail costs few rounds.
        kept = kept[max(1, len(kept) * (len(trail) - MAX_TRAIL) // len(trail)) :]
    return ""


def read_trail(query: Query) -> list[Marker]:
    """What `write_trail` wrote; BadParameter for anything else."""
    trail = (query.all("trail") or [""])[0]
    if not trail:
        return []
    if len(trail) > MAX_TRAIL:
        raise BadParameter(f"trail has {len(trail):,} characters: at most {MAX_TRAIL:,} are allowed.")
    try:
        packed = base64.b64decode(trail + "=" * (-len(trail) % 4), altchars=b"-_", validate=True)
        markers = json.loads(zlib.decompressobj().decompress(packed, MAX_TRAIL_BYTES).decode())
        return [(check_text("trail", key), check_text("trail", upload_id)) for key, upload_id in markers]
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error, zlib.error):
        raise BadParameter("trail is not one that this site made: leave it away to begin a new one.") from None


# --- Uploads by name --------------------------------------------------------------------------------------------------


def write_upload(name: UploadRef) -> str:
    """Key and upload id in one form value of plain ASCII: browsers rewrite newlines in values, but nothing in this."""
    return f"{quote(name.key, safe='')}/{quote(name.upload_id, safe='')}"


def read_upload(value: str) -> UploadRef:
    """What `write_upload` wrote; BadParameter for anything else."""
    key, slash, upload_id = value.partition("/")
    if not (value.isascii() and slash) or "/" in upload_id:
        raise BadParameter("upload must be a percent-encoded key, a slash and a percent-encoded upload id.")
    try:
        return _upload_name(unquote(key, errors="strict"), unquote(upload_id, errors="strict"))
    except UnicodeDecodeError:
        raise BadParameter("upload holds a key or an upload id that is not valid UTF-8.") from None


def read_named_upload(query: Query) -> UploadRef:
    """The one upload that `key` and `upload-id`, or `upload`, name."""
    if values := query.all("upload"):
        if len(values) > 1:
            raise BadParameter("upload is given more than once: this page is about one upload.")
        return read_upload(values[0])
    return _upload_name(query.text("key"), query.text("upload-id"))


def read_uploads(request: HttpRequest) -> list[UploadRef]:
    """The uploads an abort is about, each once: `upload` fields, or `key` and `upload-id`."""
    if request.method == "POST":
        values, key, upload_id = request.POST.getlist("upload"), _posted(request, "key"), _posted(request, "upload-id")
    else:
        query = Query(request, repeatable=frozenset({"upload"}))
        values, key, upload_id = query.all("upload"), query.text("key"), query.text("upload-id")
    names = [read_upload(value) for value in values]
    if key or upload_id or not names:
        names.append(_upload_name(key, upload_id))
    names = list(dict.fromkeys(names))
    if len(names) > MAX_PAGE:
        raise BadParameter(f"{len(names):,} uploads are named: at most {MAX_PAGE:,} are allowed at a time.")
    return names


def _posted(request: HttpRequest, name: str) -> str:
    values = request.POST.getlist(name)
    if len(values) > 1:
        raise BadParameter(f"{name} is given {len(values)} times: it is allowed once; name several by upload.")
    value = values[0] if values else ""
    if "\ufffd" in value:
        # Django put this character in place of bytes that are no UTF-8, or it is truly there: nobody can tell.
        raise BadParameter(f"{name} is not valid UTF-8, or holds U+FFFD: name the upload by the field upload instead.")
    return check_text(name, value)


def _upload_name(key: str, upload_id: str) -> UploadRef:
    if not key:
        raise BadParameter(
            "key is missing: tick at least one upload, or name one by its key (1 to 1,024 bytes) and id."
        )
    if not upload_id:
        raise BadParameter("upload-id is missing: the id that the store gave the upload.")
    return UploadRef(check_text("key", key), check_text("upload-id", upload_id))


def query_string(values: dict[str, str | int | None]) -> str:
    """`?name=value&…` of the values that are not empty, percent-encoded so that each arrives exactly."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else ""
