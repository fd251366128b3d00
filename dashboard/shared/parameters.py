"""Reads the parameters of a request exactly, or raises BadParameter, to which the pages respond with 400.

Django decodes a query with replacement characters and keeps the last of repeated values, which could turn a key into
another key.
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
from django.utils.translation import gettext as _

from dashboard.shared.numbers import Count
from uploads.objectstore.types import DEFAULT_PAGE, MAX_PAGE, Marker, UploadRef, UploadsQuery

MAX_TEXT_BYTES = 1024
"""The longest key, prefix, marker or upload id: S3 and OSS allow keys of 1,024 bytes."""

MAX_TRAIL = 2000
"""Characters of the trail in a URL. With the longest markers the URL stays below 8 KB, the limit of common servers."""
MAX_TRAIL_BYTES = 256 * 1024


class BadParameter(Exception):
    """A parameter with an invalid value. The message is for the user: it names the parameter and the allowed values."""


class Query:
    """The query string, decoded strictly: each value is valid UTF-8 without NUL, and each name occurs at most once."""

    def __init__(self, request: HttpRequest, *, repeatable: frozenset[str] = frozenset()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in _pairs(request.META.get("QUERY_STRING", "")):
            self._values.setdefault(name, []).append(value)
        for name, values in self._values.items():
            if len(values) > 1 and name not in repeatable:
                raise BadParameter(_repeated(name))

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def text(self, name: str) -> str:
        """At most 1,024 bytes of text; '' if the parameter is missing."""
        values = self._values.get(name)
        return check_text(name, values[0]) if values else ""

    def long_text(self, name: str, limit_bytes: int) -> str:
        """A text that is no key and can be longer than one, such as a line of a log."""
        values = self._values.get(name)
        return check_text(name, values[0], limit_bytes) if values else ""

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number from `lowest` to `highest`; `default` if the parameter is missing or empty."""
        return read_number(name, (self._values.get(name) or [""])[0], default, lowest, highest)


def read_number(name: str, text: str, default: int, lowest: int, highest: int) -> int:
    """A whole number from `lowest` to `highest`; `default` if the text is empty. Raises BadParameter."""
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and lowest <= int(text) <= highest):
        raise BadParameter(
            _("%(name)s is “%(value)s”, but must be a whole number from %(lowest)s to %(highest)s.")
            % {"name": name, "value": text[:50], "lowest": Count(lowest), "highest": Count(highest)}
        )
    return int(text)


def _repeated(name: str) -> str:
    return _("%(name)s is allowed once.") % {"name": name}


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PAGE + 100)
    except UnicodeDecodeError:
        raise BadParameter(_("The query must be valid, percent-encoded UTF-8.")) from None
    except ValueError:
        raise BadParameter(_too_many_uploads()) from None


def check_text(name: str, value: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """The value itself. Raises BadParameter if no store could accept it exactly."""
    if "\0" in value:
        raise BadParameter(_("%(name)s must not contain a NUL character.") % {"name": name})
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > limit_bytes:
        raise BadParameter(
            _("%(name)s has %(size)s bytes; at most %(limit)s are allowed.")
            % {"name": name, "size": Count(size), "limit": Count(limit_bytes)}
        )
    return value


# --- The listing ------------------------------------------------------------------------------------------------------


def read_listing(query: Query) -> UploadsQuery:
    """The parameters of a page of ListMultipartUploads."""
    return UploadsQuery(
        prefix=query.text("prefix"),
        delimiter=query.text("delimiter"),
        max_uploads=query.number("max-uploads", DEFAULT_PAGE, 1, MAX_PAGE),
        key_marker=query.text("key-marker"),
        upload_id_marker=query.text("upload-id-marker"),
        whole_key=query.text("whole-key") == "1",
    )


def write_trail(markers: Sequence[Marker]) -> str:
    """The markers of the previous pages, oldest first, for a URL.

    The oldest are dropped until the trail fits. "Previous" then stops before the first page, which has its own link.
    """
    kept = list(markers)
    while kept:
        packed = zlib.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(), 9)
        trail = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        if len(trail) <= MAX_TRAIL:
            return trail
        # Drop in proportion to the excess, so that a long trail needs few rounds.
        kept = kept[max(1, len(kept) * (len(trail) - MAX_TRAIL) // len(trail)) :]
    return ""


def read_trail(query: Query) -> list[Marker]:
    """The markers that `write_trail` wrote. Raises BadParameter for anything else."""
    trail = (query.all("trail") or [""])[0]
    if not trail:
        return []
    if len(trail) > MAX_TRAIL:
        raise BadParameter(
            _("%(name)s has %(size)s characters; at most %(limit)s are allowed.")
            % {"name": "trail", "size": Count(len(trail)), "limit": Count(MAX_TRAIL)}
        )
    try:
        packed = base64.b64decode(trail + "=" * (-len(trail) % 4), altchars=b"-_", validate=True)
        markers = json.loads(zlib.decompressobj().decompress(packed, MAX_TRAIL_BYTES).decode())
        return [(check_text("trail", key), check_text("trail", upload_id)) for key, upload_id in markers]
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error, zlib.error):
        raise BadParameter(_("trail is not valid. Omit it to start a new one.")) from None


# --- Uploads by name --------------------------------------------------------------------------------------------------


_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"


def quoted(text: str) -> str:
    """The text percent-encoded, as by `quote` with nothing safe, which takes three times as long for most keys."""
    shorter = text.replace("%", "%25").replace("/", "%2F").replace(" ", "%20")
    if shorter.isascii() and not shorter.encode().strip(_UNRESERVED + b"%"):
        return shorter
    return quote(text, safe="")


def write_upload(name: UploadRef) -> str:
    """Key and upload id in one form value of plain ASCII. Browsers rewrite newlines in form values, but not this."""
    return f"{quoted(name.key)}/{quoted(name.upload_id)}"


def read_upload(value: str) -> UploadRef:
    """The upload that `write_upload` wrote. Raises BadParameter for anything else."""
    key, slash, upload_id = value.partition("/")
    if not (value.isascii() and slash) or "/" in upload_id:
        raise BadParameter(_("upload must be a percent-encoded key, a slash and a percent-encoded upload id."))
    try:
        return _upload_name(unquote(key, errors="strict"), unquote(upload_id, errors="strict"))
    except UnicodeDecodeError:
        raise BadParameter(_("The key and the upload id in upload must be valid UTF-8.")) from None


def read_named_upload(query: Query) -> UploadRef:
    """The upload that is named by `key` and `upload-id`, or by `upload`."""
    if values := query.all("upload"):
        if len(values) > 1:
            raise BadParameter(_repeated("upload"))
        return read_upload(values[0])
    return _upload_name(query.text("key"), query.text("upload-id"))


def read_uploads(request: HttpRequest) -> list[UploadRef]:
    """The uploads to abort, each once: from `upload` fields, or from `key` and `upload-id`."""
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
        raise BadParameter(_too_many_uploads())
    return names


def _posted(request: HttpRequest, name: str) -> str:
    values = request.POST.getlist(name)
    if len(values) > 1:
        raise BadParameter(_("%(name)s is allowed once. Use upload to name several uploads.") % {"name": name})
    value = values[0] if values else ""
    if "\ufffd" in value:
        # Either Django replaced invalid bytes with this character, or the value contains it: both look the same.
        raise BadParameter(
            _("%(name)s is not valid UTF-8 or contains U+FFFD. Use the field upload instead.") % {"name": name}
        )
    return check_text(name, value)


def _too_many_uploads() -> str:
    return _("At most %(limit)s uploads are allowed.") % {"limit": Count(MAX_PAGE)}


def _upload_name(key: str, upload_id: str) -> UploadRef:
    if not key:
        raise BadParameter(_("key is missing. Select at least one upload, or give its key (1 to 1,024 bytes) and id."))
    if not upload_id:
        raise BadParameter(_("upload-id is missing. It is the id that the store gave the upload."))
    return UploadRef(check_text("key", key), check_text("upload-id", upload_id))


def query_string(values: dict[str, str | int | None]) -> str:
    """`?name=value&…` of the values that are not empty, percent-encoded so that each arrives unchanged."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else ""
