"""What is typed into the fields of a new transfer, parsed."""

from __future__ import annotations

import json
import posixpath
import re
from functools import cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from dashboard.shared.formatting import exact_bytes_text
from dashboard.shared.messages import store_error_text
from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import metadata_headers

MAX_METADATA_BYTES = 2048 - 160
"""S3 allows 2 KB of names and values. Partway needs 160 bytes for the transfer's id and the SHA-256."""

RESERVED_METADATA = "partway-"
DEFAULT_CONTENT_TYPE = "application/octet-stream"

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - `token` in the grammar of RFC 9110
_PARAMETER = rf'\s*;\s*{_TOKEN}=(?:{_TOKEN}|"[\x20\x21\x23-\x5b\x5d-\x7e]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:{_PARAMETER})*")
_STORAGE_CLASS = re.compile(r"[A-Za-z0-9_-]+")
_SIZE = re.compile(r"([0-9]{1,15})\s*(|B|KB?|KiB|MB?|MiB|GB?|GiB)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def base_name(filename: str) -> str:
    """The last segment of a file's name. Some browsers send a path, with either kind of slash."""
    return re.split(r"[/\\]", filename)[-1]


def object_key(key: str, prefix: str, filename: str) -> str:
    """The key of the object: the one typed, or the prefix and the file's name; empty while neither is known."""
    name = base_name(filename)
    return key or (prefix + name if name else "")


def guess_content_type(name: str) -> str:
    """The content type for a file's extension, by our own table: the tables of machines and browsers differ."""
    extension = posixpath.splitext(base_name(name))[1]
    return _content_types().get(extension[1:].lower(), DEFAULT_CONTENT_TYPE)


@cache
def _content_types() -> dict[str, str]:
    """The content type of each extension in lower case. The page of a new transfer shows the types by the same file."""
    types: dict[str, str] = json.loads((settings.BASE_DIR / "static" / "content-types.json").read_text())
    return types


def parse_content_type(text: str) -> str:
    """Raises ValidationError."""
    if text and not _CONTENT_TYPE.fullmatch(text):
        raise ValidationError(
            _("Enter a content type as type/subtype, with parameters if needed, such as text/plain; charset=utf-8.")
        )
    return text


def parse_storage_class(text: str) -> str:
    """Raises ValidationError."""
    if text and not _STORAGE_CLASS.fullmatch(text):
        raise ValidationError(_("A storage class has only letters, digits, “_” and “-”, such as STANDARD_IA."))
    return text


def parse_part_size(text: str) -> int | None:
    """Bytes, or a number with a binary unit (`16 MiB`); None for an empty text. Raises ValidationError."""
    text = text.strip()
    if not text:
        return None
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _UNITS[match[2][:1].lower()] if match else 0
    if not size:
        raise ValidationError(_("Enter a part size of at least 1 byte, with or without a unit, such as 16 MiB."))
    return size


def parse_part_count(text: str) -> int | None:
    """A number of parts; None for an empty text. Raises ValidationError."""
    text = text.strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise ValidationError(_("Enter the number of parts as a whole number of at least 1."))
    return int(text)


def parse_size(text: str) -> int | None:
    """The size of a file in bytes; None for an empty text. Raises ValidationError."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValidationError(_("The size of a file is a number of bytes."))
    return int(text)


def parse_metadata(text: str) -> dict[str, str]:
    """Lines of `name: value`, with names in lower case as stores keep them. Raises ValidationError with the line."""
    metadata: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if not line.strip():
            continue
        name, value = _metadata_line(number, line)
        if name in metadata:
            raise ValidationError(_("Line %(number)s: “%(name)s” is given twice.") % {"number": number, "name": name})
        metadata[name] = value
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise ValidationError(
            _("The names and values of the metadata have %(size)s. At most %(limit)s are allowed.")
            % {"size": exact_bytes_text(size), "limit": exact_bytes_text(MAX_METADATA_BYTES)}
        )
    return metadata


def _metadata_line(number: int, line: str) -> tuple[str, str]:
    name, colon, value = (piece.strip(" \t") for piece in line.partition(":"))
    if not colon or not name or not value:
        raise ValidationError(_("Line %(number)s: write a name, a colon and a value.") % {"number": number})
    try:
        metadata_headers({name: value})
    except NotSent as refusal:
        raise ValidationError(
            _("Line %(number)s: %(problem)s") % {"number": number, "problem": store_error_text(refusal)}
        ) from refusal
    if name.lower().startswith(RESERVED_METADATA):
        raise ValidationError(
            _("Line %(number)s: names that start with “%(prefix)s” are reserved.")
            % {"number": number, "prefix": RESERVED_METADATA}
        )
    return name.lower(), value
