"""Reads the responses of the S3 API to dataclasses, and writes the body of CompleteMultipartUpload. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape

from uploads.objectstore.checksums import ReportedCrc64, as_store_writes_it, reported_ecma, reported_nvme
from uploads.objectstore.errors import UnreadableResponse, unreadable
from uploads.objectstore.keys import MAX_KEY_BYTES, bad_argument
from uploads.objectstore.received import clean_text, etag_of, number_of, time_of
from uploads.objectstore.types import Bucket, CompletedPart, ListedPart, MultipartUpload, PartsPage, UploadsPage
from uploads.objectstore.xml_tree import (
    DROPPED,
    ILLEGAL,
    MAX_ROWS,
    DirtyTextError,
    Fields,
    exact,
    get,
    inner_text,
    parse,
    parse_any,
    part_number_of,
    raw,
    rows,
    texts,
)
from uploads.problems import Code, Problem

MAX_ID = 1024
"""Bytes of an upload id. Rows in the database have this length."""

MAX_MARKER = 4096
"""Bytes of a marker. A longer one does not fit into the URL of a request."""

_NOT_URL_ENCODED = re.compile(r"[^A-Za-z0-9._~*()!'/+%-]|%(?![0-9A-Fa-f]{2})")


def buckets(body: bytes) -> tuple[tuple[Bucket, ...], dict[str, str]]:
    """ListBuckets: a page, and the parameters that request the next one; none after the last page."""
    fields = parse(body, "ListAllMyBucketsResult")
    listed = (row for group in rows(fields, "Buckets") for row in rows(group, "Bucket"))
    page = tuple(Bucket(get(row, "Name"), time_of(get(row, "CreationDate"))) for row in listed)
    if token := _usable(raw(fields, "ContinuationToken")):
        return page, {"continuation-token": token}
    if _is_truncated(fields) and (marker := _usable(raw(fields, "NextMarker"))):
        return page, {"marker": marker}
    return page, {}


def bucket_region(body: bytes) -> str:
    """GetBucketInfo of OSS: the region, which OSS calls a location and prefixes: oss-cn-hangzhou."""
    info = next(rows(parse(body, "BucketInfo"), "Bucket"), [])
    return get(info, "Location").removeprefix("oss-")


def versioning_status(body: bytes) -> str:
    """GetBucketVersioning: Enabled or Suspended; '' if the bucket never kept versions."""
    return get(parse(body, "VersioningConfiguration"), "Status")


def uploads_fields(body: bytes) -> Fields:
    """ListMultipartUploads, parsed but not yet decoded."""
    return parse(body, "ListMultipartUploadsResult")


def uploads_page(fields: Fields, *, markers_encoded: bool = True, request_id: str = "") -> UploadsPage:
    """ListMultipartUploads. Fields are decoded once if the response says that they are url-encoded.

    `markers_encoded`: whether this store encodes prefixes and markers, as S3 does, or only keys. Rows whose key or
    upload id cannot be read exactly are left out and counted in `notes`.
    """
    encoded = get(fields, "EncodingType").strip().lower() == "url"
    uploads, lost = _uploads(rows(fields, "Upload"), decode if encoded else _as_is)
    rest = decode if encoded and markers_encoded else _as_is
    prefixes = [rest(text) for row in rows(fields, "CommonPrefixes") for text in texts(row, "Prefix")]
    readable = tuple(prefix for prefix in prefixes if _usable(prefix, MAX_KEY_BYTES))
    lost += len(prefixes) - len(readable)
    named = raw(fields, "NextKeyMarker")
    key_marker = _marker(named, rest, uploads, prefixes)
    page = UploadsPage(
        uploads=uploads,
        common_prefixes=readable,
        is_truncated=_is_truncated(fields) or (not _states_its_end(fields) and _names_markers(fields)),
        next_key_marker=key_marker,
        next_upload_id_marker=_usable(raw(fields, "NextUploadIdMarker")) if key_marker or not named else "",
        request_id=request_id,
        notes=tuple(_notes(fields, lost, has_rows=bool(uploads or prefixes))),
    )
    return page.first(MAX_ROWS, _dropped(fields, "Upload"), _dropped(fields, "CommonPrefixes"))


def _dropped(fields: Fields, row: str) -> int:
    """The rows of this name that the response has besides those in the fields."""
    return number_of(get(fields, DROPPED + row)) or 0


def _notes(fields: Fields, lost: int, *, has_rows: bool) -> Iterator[Problem]:
    if lost:
        yield Problem(Code.UPLOADS_NOT_READABLE, count=lost)
    if has_rows and not _states_its_end(fields) and not _names_markers(fields):
        yield Problem(Code.LISTING_END_NOT_STATED)


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
    initiated, storage_class = found.get("Initiated"), found.get("StorageClass")
    return MultipartUpload(
        key=exact(decoded(key), MAX_KEY_BYTES),
        upload_id=exact(upload_id, MAX_ID),
        initiated=time_of(initiated) if isinstance(initiated, str) else None,
        initiator=inner_text(found.get("Initiator", ""), "DisplayName", "ID"),
        owner=inner_text(found.get("Owner", ""), "DisplayName", "ID"),
        storage_class=clean_text(storage_class) if isinstance(storage_class, str) else "",
    )


def _marker(
    text: str, decoded: Callable[[str], str], uploads: Sequence[MultipartUpload], prefixes: Sequence[str]
) -> str:
    """The next key marker; '' if it is not exact: the page's last upload then replaces it, see UploadsPage.onward.

    A marker that equals the page's last item was not encoded, even if the response says so.
    """
    ends = {*(upload.key for upload in uploads[-1:]), *prefixes[-1:]}
    return _usable(text if text in ends else decoded(text))


def _usable(text: str, limit: int = MAX_MARKER) -> str:
    """A text that can be sent back in a request, otherwise ''."""
    try:
        return exact(text, limit)
    except DirtyTextError:
        return ""


def encoding_is_ambiguous(fields: Fields) -> bool:
    """Whether the response to a request with encoding-type=url may be encoded without saying so, as Ceph's is."""
    if get(fields, "EncodingType"):
        return False
    keys = (raw(row, "Key") for row in rows(fields, "Upload"))
    return any("%" in key or "+" in key for key in keys)


def parts_fields(body: bytes) -> Fields:
    """ListParts, parsed."""
    return parse(body, "ListPartsResult")


def parts_page(fields: Fields, *, abort_date: datetime | None, abort_rule_id: str, request_id: str) -> PartsPage:
    """ListParts. If NextPartNumberMarker is missing (SeaweedFS) or not a number, the last part's number replaces it."""
    parts = tuple(_part(row) for row in rows(fields, "Part"))
    last = parts[-1].number if parts else 0
    marker = number_of(get(fields, "NextPartNumberMarker"))
    found, is_cut = dict(fields), _dropped(fields, "Part") > 0
    return PartsPage(
        parts=parts,
        is_truncated=is_cut or _is_truncated(fields),
        next_part_number_marker=last if marker is None or is_cut else marker,
        initiator=inner_text(found.get("Initiator", ""), "DisplayName", "ID"),
        owner=inner_text(found.get("Owner", ""), "DisplayName", "ID"),
        storage_class=get(fields, "StorageClass"),
        abort_date=abort_date,
        abort_rule_id=abort_rule_id,
        request_id=request_id,
    )


def _part(row: Fields) -> ListedPart:
    return ListedPart(
        number=part_number_of(row, "PartNumber"),
        size=number_of(get(row, "Size")),
        etag=etag_of(raw(row, "ETag")),
        last_modified=time_of(get(row, "LastModified")),
        crc64=reported_ecma(get(row, "HashCrc64ecma")),
    )


def upload_id(body: bytes) -> str:
    """CreateMultipartUpload; UnreadableResponse without an upload id."""
    found = _usable(raw(parse(body, "InitiateMultipartUploadResult"), "UploadId"), MAX_ID)
    if not found:
        raise unreadable(Code.RESPONSE_WITHOUT_UPLOAD_ID)
    return found


def named_key(body: bytes) -> str:
    """The key that a response names as its own; '' if it names none."""
    _, node = parse_any(body)
    return "" if isinstance(node, str) else get(node, "Key")


def completed_etag(body: bytes) -> str:
    """CompleteMultipartUpload: the ETag; '' if there is none."""
    return etag_of(raw(parse(body, "CompleteMultipartUploadResult"), "ETag"))


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
    return {clean_text(each): clean_text(text) for each, text in node if isinstance(text, str)}


def _states_its_end(fields: Fields) -> bool:
    """Whether the page says whether it is the last. If it does not, markers mean that more follow."""
    return bool(get(fields, "IsTruncated").strip())


def _names_markers(fields: Fields) -> bool:
    return bool(raw(fields, "NextKeyMarker") or raw(fields, "NextUploadIdMarker"))


def _is_truncated(fields: Fields) -> bool:
    return get(fields, "IsTruncated").strip().lower() == "true"


def _as_is(text: str) -> str:
    return text


def decode(text: str) -> str:
    """A url-encoded field, decoded once. A text with characters that an encoder replaces was not encoded.

    A text that is longer than any name is returned as it is.
    """
    if len(text) > 3 * MAX_MARKER or not ("%" in text or "+" in text) or _NOT_URL_ENCODED.search(text):
        return text
    return unquote_plus(text, errors="surrogateescape")


def unquoted(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"')


# Writing


def complete_body(parts: Sequence[CompletedPart], namespace: str = "") -> bytes:
    """The body of CompleteMultipartUpload; NotSent with BAD_ARGUMENT unless numbers ascend and all ETags are given."""
    numbers = [part.number for part in parts]
    if not parts or any(not part.etag for part in parts) or ILLEGAL.search("".join(part.etag for part in parts)):
        raise bad_argument(Code.COMPLETE_WITHOUT_PARTS)
    if numbers != sorted(set(numbers)):
        raise bad_argument(Code.PARTS_NOT_ASCENDING)
    return unchecked_complete_body(parts, namespace)


def unchecked_complete_body(parts: Sequence[CompletedPart], namespace: str = "") -> bytes:
    """The body without these checks, for store checks that test what a store refuses."""
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{_quoted(part.etag)}</ETag>{_crc64(part)}</Part>"
        for part in parts
    )
    declared = f' xmlns="{namespace}"' if namespace else ""
    return f"<CompleteMultipartUpload{declared}>{rows}</CompleteMultipartUpload>".encode()


def _crc64(part: CompletedPart) -> str:
    if part.crc64 is None:
        return ""
    return f"<ChecksumCRC64NVME>{as_store_writes_it('nvme', part.crc64)}</ChecksumCRC64NVME>"


def _quoted(etag: str) -> str:
    return escape(f'"{unquoted(etag)}"', {'"': "&quot;"})
