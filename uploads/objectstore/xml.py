"""Reads and writes the XML of the S3 API. Pure. Everything that is read is considered hostile.

DTDs, and with them custom entities, are rejected; depth and number of elements are limited; namespaces are ignored.
XML 1.0 cannot contain control characters, but some stores send them in keys (Ceph: `&#x01;`), and a strict parser then
rejects the whole page. Such characters are replaced before parsing and restored afterwards, so that keys stay exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias, cast
from urllib.parse import unquote_plus
from xml.parsers import expat
from xml.sax.saxutils import escape

from uploads.objectstore.checksums import ReportedCrc64, reported_ecma, reported_nvme
from uploads.objectstore.errors import Reason, UnreadableResponse
from uploads.objectstore.keys import bad_argument
from uploads.objectstore.types import Bucket, CompletedPart, ListedPart, MultipartUpload, PartsPage, UploadsPage
from uploads.problems import Code, Param, Problem

Fields: TypeAlias = "list[tuple[str, Node]]"
Node: TypeAlias = "str | Fields"

MAX_DEPTH = 16
MAX_ELEMENTS = 200_000
"""A page of 1,000 uploads has about 13,000 elements."""

_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,8}));")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIRTY = re.compile("[\0\ud800-\udfff]")
_URL_ENCODED = re.compile(r"(?:[A-Za-z0-9._~*()!'/+-]|%[0-9A-Fa-f]{2})*")


class DirtyTextError(ValueError):
    """A text whose exact characters are not known."""


# Reading: from bytes to a tree


def parse(body: bytes, root: str) -> Fields:
    """The fields of the document's root, which must have the given name. Raises UnreadableResponse."""
    name, node = parse_any(body)
    if name != root:
        raise unreadable(Code.RESPONSE_ELEMENT_UNEXPECTED, found=name[:40], expected=root)
    return node if isinstance(node, list) else []


def parse_any(body: bytes) -> tuple[str, Node]:
    """The root's name and content. UnreadableResponse if empty, not XML, truncated, with a DTD or nested too deeply."""
    if not body.strip():
        raise unreadable(Code.RESPONSE_EMPTY)
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff").lstrip()
    if _DECLARATION.search(text):
        raise unreadable(Code.RESPONSE_HAS_DTD)
    try:
        return _read(text, str)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        cleaned, restore = _escape_illegal(text)
        if cleaned == text:
            raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error
    try:
        return _read(cleaned, restore)
    except expat.ExpatError as error:
        raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error


def _read(text: str, restore: Callable[[str], str]) -> tuple[str, Node]:
    """Elements as (name, text) or (name, fields), without the text between elements. Closures are faster here."""
    root: Fields = []
    stack, texts, elements = [root], list[str](), 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal elements
        elements += 1
        if len(stack) > MAX_DEPTH or elements > MAX_ELEMENTS:
            raise unreadable(Code.RESPONSE_TOO_COMPLEX)
        stack.append([])
        texts.clear()

    def end(name: str) -> None:
        node: Node = stack.pop() or restore("".join(texts))
        texts.clear()
        stack[-1].append((name.rpartition(":")[2] if ":" in name else name, node))

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.Parse(text, True)
    return root[0]


def _escape_illegal(text: str) -> tuple[str, Callable[[str], str]]:
    """The text with illegal characters replaced by a private one and six hex digits, and a function that undoes it."""
    mark = _unused_mark(text)

    def name(match: re.Match[str]) -> str:
        return f"{mark}{ord(match[0]):06x}"

    def name_reference(match: re.Match[str]) -> str:
        code = int(match[1], 16) if match[1] else int(match[2])
        legal = code <= 0x10FFFF and not _ILLEGAL.fullmatch(chr(code))
        return match[0] if legal else f"{mark}{min(code, 0xFFFFFF):06x}"

    restore = re.compile(mark + "([0-9a-f]{6})")
    cleaned = _REFERENCE.sub(name_reference, _ILLEGAL.sub(name, text))
    return cleaned, lambda found: restore.sub(lambda match: _character(int(match[1], 16)), found)


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\0"


def _unused_mark(text: str) -> str:
    """A private-use character that the text does not contain, neither directly nor as a reference."""
    used = {chr(int(a, 16) if a else int(b)) for a, b in _REFERENCE.findall(text) if _small(a, b)}
    return next(mark for mark in map(chr, range(0xE000, 0xF8FF)) if mark not in text and mark not in used)


def _small(hexadecimal: str, decimal: str) -> bool:
    return (int(hexadecimal, 16) if hexadecimal else int(decimal)) <= 0x10FFFF


# Fields


def get(fields: Fields, name: str) -> str:
    """The text of the last field of that name, or ''."""
    found = ""
    for each, node in fields:
        if each == name and isinstance(node, str):
            found = node
    return found


def _inner(node: Node, *names: str) -> str:
    """The first of these fields of a nested element, such as Owner, that is not empty."""
    if isinstance(node, str):
        return ""
    return next(filter(None, (get(node, name) for name in names)), "")


def _rows(fields: Fields, name: str) -> Iterator[Fields]:
    return (node for each, node in fields if each == name and isinstance(node, list))


def _texts(fields: Fields, name: str) -> Iterator[str]:
    return (node for each, node in fields if each == name and isinstance(node, str) and node)


def _time(text: str) -> datetime | None:
    """An ISO 8601 time as aware UTC, or None."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _number(fields: Fields, name: str, default: int | None = None) -> int:
    text = get(fields, name).strip()
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError:
        raise unreadable(Code.RESPONSE_NUMBER_INVALID, element=name, text=text[:40]) from None


def _exact(text: str) -> str:
    """The text, if it can be a key; DirtyTextError if it contains NUL or was not UTF-8."""
    if not text.isprintable() and _DIRTY.search(text):
        raise DirtyTextError
    return text


def _is_exact(text: str) -> bool:
    return not _DIRTY.search(text)


# Responses


def buckets(body: bytes) -> tuple[tuple[Bucket, ...], dict[str, str]]:
    """ListBuckets: a page, and the parameters that request the next one; none after the last page."""
    fields = parse(body, "ListAllMyBucketsResult")
    listed = (row for group in _rows(fields, "Buckets") for row in _rows(group, "Bucket"))
    page = tuple(Bucket(get(row, "Name"), _time(get(row, "CreationDate"))) for row in listed)
    if token := get(fields, "ContinuationToken"):
        return page, {"continuation-token": token}
    if _is_truncated(fields) and (marker := get(fields, "NextMarker")):
        return page, {"marker": marker}
    return page, {}


def bucket_region(body: bytes) -> str:
    """GetBucketInfo of OSS: the region, which OSS calls a location and prefixes: oss-cn-hangzhou."""
    info = next(_rows(parse(body, "BucketInfo"), "Bucket"), [])
    return get(info, "Location").removeprefix("oss-")


def uploads_fields(body: bytes) -> Fields:
    """ListMultipartUploads, parsed but not yet decoded."""
    return parse(body, "ListMultipartUploadsResult")


def uploads_page(fields: Fields, *, markers_encoded: bool = True, request_id: str = "") -> UploadsPage:
    """ListMultipartUploads. Fields are decoded once if the response says that they are url-encoded.

    `markers_encoded`: whether this store encodes prefixes and markers, as S3 does, or only keys. Rows whose key or
    upload id cannot be read exactly are left out and counted in `notes`.
    """
    encoded = get(fields, "EncodingType").strip().lower() == "url"
    uploads, lost = _uploads(_rows(fields, "Upload"), decode if encoded else _as_is)
    rest = decode if encoded and markers_encoded else _as_is
    prefixes = [rest(text) for row in _rows(fields, "CommonPrefixes") for text in _texts(row, "Prefix")]
    lost += sum(not _is_exact(prefix) for prefix in prefixes)
    return UploadsPage(
        uploads=uploads,
        common_prefixes=tuple(filter(_is_exact, prefixes)),
        is_truncated=_is_truncated(fields),
        next_key_marker=_marker(get(fields, "NextKeyMarker"), rest, uploads, prefixes),
        next_upload_id_marker=get(fields, "NextUploadIdMarker"),
        request_id=request_id,
        notes=(Problem(Code.UPLOADS_NOT_READABLE, count=lost),) if lost else (),
    )


def _uploads(rows: Iterable[Fields], decoded: Callable[[str], str]) -> tuple[tuple[MultipartUpload, ...], int]:
    uploads, lost = [], 0
    for row in rows:
        try:
            upload = _upload(row, decoded)
        except DirtyTextError:
            lost += 1
        else:
            uploads.append(upload)
    return tuple(uploads), lost


def _upload(row: Fields, decoded: Callable[[str], str]) -> MultipartUpload:
    found = dict(row)
    key, upload_id = found.get("Key"), found.get("UploadId")
    if not isinstance(key, str) or not isinstance(upload_id, str) or not key or not upload_id:
        raise DirtyTextError
    return MultipartUpload(
        key=_exact(decoded(key)),
        upload_id=_exact(upload_id),
        initiated=_time(cast(str, found.get("Initiated") or "")),
        initiator=_inner(found.get("Initiator", ""), "DisplayName", "ID"),
        owner=_inner(found.get("Owner", ""), "DisplayName", "ID"),
        storage_class=cast(str, found.get("StorageClass") or ""),
    )


def _marker(
    text: str, decoded: Callable[[str], str], uploads: Sequence[MultipartUpload], prefixes: Sequence[str]
) -> str:
    """The next key marker. A marker that equals the page's last item was not encoded, even if the response says so."""
    ends = {*(upload.key for upload in uploads[-1:]), *prefixes[-1:]}
    marker = text if text in ends else decoded(text)
    if not _is_exact(marker):
        raise unreadable(Code.RESPONSE_MARKER_NOT_UTF8)
    return marker


def encoding_is_ambiguous(fields: Fields) -> bool:
    """Whether the response to a request with encoding-type=url may be encoded without saying so, as Ceph's is."""
    if get(fields, "EncodingType"):
        return False
    keys = (get(row, "Key") for row in _rows(fields, "Upload"))
    return any("%" in key or "+" in key for key in keys)


def parts_page(body: bytes, *, abort_date: datetime | None, abort_rule_id: str, request_id: str) -> PartsPage:
    """ListParts. If NextPartNumberMarker is missing (SeaweedFS), the last part's number replaces it."""
    fields = parse(body, "ListPartsResult")
    parts = tuple(_part(row) for row in _rows(fields, "Part"))
    last = parts[-1].number if parts else 0
    found = dict(fields)
    return PartsPage(
        parts=parts,
        is_truncated=_is_truncated(fields),
        next_part_number_marker=_number(fields, "NextPartNumberMarker", last),
        initiator=_inner(found.get("Initiator", ""), "DisplayName", "ID"),
        owner=_inner(found.get("Owner", ""), "DisplayName", "ID"),
        storage_class=get(fields, "StorageClass"),
        abort_date=abort_date,
        abort_rule_id=abort_rule_id,
        request_id=request_id,
    )


def _part(row: Fields) -> ListedPart:
    return ListedPart(
        number=_number(row, "PartNumber"),
        size=_number(row, "Size", 0),
        etag=unquoted(get(row, "ETag")),
        last_modified=_time(get(row, "LastModified")),
        crc64=reported_ecma(get(row, "HashCrc64ecma")),
    )


def upload_id(body: bytes) -> str:
    """CreateMultipartUpload; UnreadableResponse without an upload id."""
    found = get(parse(body, "InitiateMultipartUploadResult"), "UploadId")
    if not found:
        raise unreadable(Code.RESPONSE_WITHOUT_UPLOAD_ID)
    return found


def completed_etag(body: bytes) -> str:
    """CompleteMultipartUpload: the ETag; '' if there is none."""
    return unquoted(get(parse(body, "CompleteMultipartUploadResult"), "ETag"))


def completed_crc64(body: bytes) -> ReportedCrc64 | None:
    """CompleteMultipartUpload: the CRC-64 of the whole object; None if there is none."""
    return reported_nvme(get(parse(body, "CompleteMultipartUploadResult"), "ChecksumCRC64NVME"))


def error_fields(body: bytes) -> dict[str, str] | None:
    """The fields of an `<Error>`, or None if the response is not an error."""
    try:
        name, node = parse_any(body)
    except UnreadableResponse:
        return None
    if name != "Error" or isinstance(node, str):
        return None
    return {each: text for each, text in node if isinstance(text, str)}


def _is_truncated(fields: Fields) -> bool:
    return get(fields, "IsTruncated").strip().lower() == "true"


def _as_is(text: str) -> str:
    return text


def decode(text: str) -> str:
    """A url-encoded field, decoded once. A text with characters that an encoder replaces was not encoded."""
    if not ("%" in text or "+" in text) or not _URL_ENCODED.fullmatch(text):
        return text
    return unquote_plus(text, errors="surrogateescape")


def unquoted(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"')


def unreadable(code: Code, **params: Param) -> UnreadableResponse:
    return UnreadableResponse(Problem(code, **params), reason=Reason.UNREADABLE_RESPONSE)


# Writing


def complete_body(parts: Sequence[CompletedPart], namespace: str = "") -> bytes:
    """The body of CompleteMultipartUpload; NotSent with BAD_ARGUMENT unless numbers ascend and all ETags are given."""
    numbers = [part.number for part in parts]
    if not parts or any(not part.etag for part in parts) or _ILLEGAL.search("".join(part.etag for part in parts)):
        raise bad_argument(Code.COMPLETE_WITHOUT_PARTS)
    if numbers != sorted(set(numbers)):
        raise bad_argument(Code.PARTS_NOT_ASCENDING)
    return unchecked_complete_body(parts, namespace)


def unchecked_complete_body(parts: Sequence[CompletedPart], namespace: str = "") -> bytes:
    """The body without these checks, for store checks that test what a store refuses."""
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{_quoted(part.etag)}</ETag></Part>" for part in parts
    )
    declared = f' xmlns="{namespace}"' if namespace else ""
    return f"<CompleteMultipartUpload{declared}>{rows}</CompleteMultipartUpload>".encode()


def _quoted(etag: str) -> str:
    return escape(f'"{unquoted(etag)}"', {'"': "&quot;"})
