"""PutObject, HeadObject, GetObject, DeleteObject, ListObjects and ListObjectsV2."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from tests.stores.oss import bodies, buckets, errors, responses, xml
from tests.stores.oss.arguments import forbids_overwrite, number, storage_class, stored_headers
from tests.stores.oss.listing import Page, page_of
from tests.stores.oss.request import Request
from tests.stores.oss.responses import FileRange, Response
from tests.stores.oss.state import Bucket, Object, Piece, State

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def put_object(state: State, request: Request) -> Response:
    key, bucket = request.object_key, state.bucket(request.bucket, request.host.region)
    kind = storage_class(request.header("x-oss-storage-class"), bucket.storage_class)
    path = state.new_path()
    digests = bodies.save(request.body, path, request.headers)
    fresh = Object(
        key,
        digests.etag,
        digests.size,
        digests.crc64,
        state.now(),
        (Piece(path, digests.size),),
        content_md5=digests.content_md5,
        storage_class=kind,
        headers=stored_headers(request),
    )
    try:
        state.put(bucket, fresh, forbid_overwrite=forbids_overwrite(request))
    except errors.Refusal:
        path.unlink()
        raise
    headers = {"ETag": f'"{digests.etag}"', "x-oss-hash-crc64ecma": str(digests.crc64)}
    return Response(200, {**headers, "Content-MD5": digests.content_md5})


def head_object(state: State, request: Request) -> Response:
    stored = _find(state, request)
    return Response(200, _headers(stored), length=stored.size)


def get_object(state: State, request: Request) -> Response:
    """The object, or one range of it. An invalid range is ignored (GetObject, "Range")."""
    stored = _find(state, request)
    byte_range = _range(request.header("range"), stored.size)
    if byte_range is None:
        return Response(200, _headers(stored), _file_ranges(stored, 0, stored.size))
    first, last = byte_range
    headers = {**_headers(stored), "Content-Range": f"bytes {first}-{last}/{stored.size}"}
    return Response(206, headers, _file_ranges(stored, first, last + 1))


def delete_object(state: State, request: Request) -> Response:
    """Returns 204 even if there was no object."""
    state.delete(state.bucket(request.bucket, request.host.region), request.object_key)
    return Response(204)


def list_objects(state: State, request: Request) -> Response:
    """ListObjects (V1), which is paged by key (NextMarker)."""
    marker = request.parameters.get("marker", "")
    bucket, page, nodes = _listed(state, request, marker)
    encode = xml.encoder(request.parameters.get("encoding-type", ""))
    more: list[xml.Node] = [("NextMarker", encode(page.last[0]))] if page.truncated else []
    return responses.document(
        ("ListBucketResult", [("Name", bucket.name), ("Marker", encode(marker)), *nodes, *more, *encode.nodes])
    )


def list_objects_v2(state: State, request: Request) -> Response:
    """ListObjectsV2, which is paged by a token: here the key in base64."""
    start_after, token = request.parameters.get("start-after", ""), request.parameters.get("continuation-token", "")
    encode = xml.encoder(request.parameters.get("encoding-type", ""))
    with_owner = request.parameters.get("fetch-owner") == "true"
    bucket, page, nodes = _listed(state, request, _key_of(token) if token else start_after, with_owner=with_owner)
    more: list[xml.Node] = [("ContinuationToken", token)] if token else []
    if start_after:
        more.append(("StartAfter", encode(start_after)))
    if page.truncated:
        more.append(("NextContinuationToken", base64.b64encode(page.last[0].encode()).decode()))
    count = len(page.names) + len(page.prefixes)
    return responses.document(
        ("ListBucketResult", [("Name", bucket.name), *nodes, *more, ("KeyCount", count), *encode.nodes])
    )


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def _find(state: State, request: Request) -> Object:
    bucket = state.bucket(request.bucket, request.host.region)
    stored = bucket.objects.get(request.object_key)
    if stored is None:
        raise errors.no_key(request.object_key)
    return stored


def _headers(stored: Object) -> Mapping[str, str]:
    """The headers of HEAD and GET. Content-MD5 is for Normal objects only (HeadObject, "Response headers")."""
    headers = {
        **stored.headers,
        "Accept-Ranges": "bytes",
        "ETag": f'"{stored.etag}"',
        "Last-Modified": http_date(stored.modified),
        "x-oss-object-type": stored.kind,
        "x-oss-hash-crc64ecma": str(stored.crc64),
        "x-oss-storage-class": stored.storage_class,
    }
    return {**headers, "Content-MD5": stored.content_md5} if stored.content_md5 else headers


def _file_ranges(stored: Object, start: int, end: int) -> tuple[FileRange, ...]:
    """The file ranges with the bytes from `start` up to, but not including, `end`."""
    ranges, offset = [], 0
    for piece in stored.pieces:
        first, last = max(start - offset, 0), min(end - offset, piece.size)
        if first < last:
            ranges.append(FileRange(piece.path, first, last - first))
        offset += piece.size
    return tuple(ranges)


def _range(text: str, size: int) -> tuple[int, int] | None:
    """The first and last byte, or None for all bytes."""
    match = _RANGE.fullmatch(text)
    if not match or not size:
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if last and int(last) else None
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) <= end else None


def _listed(
    state: State, request: Request, after: str, *, with_owner: bool = False
) -> tuple[Bucket, Page, list[xml.Node]]:
    prefix, delimiter = request.parameters.get("prefix", ""), request.parameters.get("delimiter", "")
    limit = number(request, "max-keys", default=100, lowest=1, highest=1000)
    encode = xml.encoder(request.parameters.get("encoding-type", ""))
    with state.lock:
        bucket = state.bucket(request.bucket, request.host.region)
        names = [(key, "") for key in bucket.objects]
        page = page_of(names, prefix=prefix, delimiter=delimiter, after=(after, ""), limit=limit)
        objects = [bucket.objects[key] for key, _ in page.names]
    nodes: list[xml.Node] = [
        ("Prefix", encode(prefix)),
        ("MaxKeys", limit),
        ("Delimiter", encode(delimiter)),
        ("IsTruncated", page.truncated),
        *(("Contents", _entry(each, encode, with_owner=with_owner)) for each in objects),
        *(("CommonPrefixes", [("Prefix", encode(each))]) for each in page.prefixes),
    ]
    return bucket, page, nodes


def _entry(stored: Object, encode: xml.Encoder, *, with_owner: bool) -> list[xml.Node]:
    return [
        ("Key", encode(stored.key)),
        ("LastModified", stored.modified),
        ("ETag", f'"{stored.etag}"'),
        ("Type", stored.kind),
        ("Size", stored.size),
        ("StorageClass", stored.storage_class),
        *([buckets.OWNER_NODE] if with_owner else []),
    ]


def _key_of(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError:
        raise errors.bad_argument(
            "continuation-token", token, "The continuation token provided is incorrect."
        ) from None
