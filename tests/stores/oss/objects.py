"""PutObject, HeadObject, GetObject, DeleteObject, ListObjects and ListObjectsV2."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from tests.stores.oss import answers, bodies, errors, xml
from tests.stores.oss.answers import Answer, Stretch
from tests.stores.oss.arguments import forbids_overwrite, kept_headers, number, storage_class
from tests.stores.oss.asked import Asked
from tests.stores.oss.listing import Page, page_of
from tests.stores.oss.state import Bucket, Object, Piece, State

CONDITIONS = ("if-modified-since", "if-unmodified-since", "if-match", "if-none-match")
"""Not implemented for PUT ("Error responses"), and here for no method."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def put_object(state: State, asked: Asked) -> Answer:
    refuse_conditions(asked)
    key, bucket = asked.object_key, state.bucket(asked.bucket, asked.host.region)
    kind = storage_class(asked.header("x-oss-storage-class"), bucket.storage_class)
    path = state.new_path()
    digests = bodies.save(asked.body, path, asked.headers)
    fresh = Object(
        key,
        digests.etag,
        digests.size,
        digests.crc64,
        state.now(),
        (Piece(path, digests.size),),
        content_md5=digests.content_md5,
        storage_class=kind,
        headers=kept_headers(asked),
    )
    try:
        state.put(bucket, fresh, forbid_overwrite=forbids_overwrite(asked))
    except errors.Refusal:
        path.unlink()
        raise
    headers = {"ETag": f'"{digests.etag}"', "x-oss-hash-crc64ecma": str(digests.crc64)}
    return Answer(200, {**headers, "Content-MD5": digests.content_md5})


def head_object(state: State, asked: Asked) -> Answer:
    refuse_conditions(asked)
    found = _find(state, asked)
    return Answer(200, _facts(found), length=found.size)


def get_object(state: State, asked: Asked) -> Answer:
    """The object, or one range of it; a range that cannot be had is ignored (GetObject, "Range")."""
    refuse_conditions(asked)
    found = _find(state, asked)
    wanted = _range(asked.header("range"), found.size)
    if wanted is None:
        return Answer(200, _facts(found), _stretches(found, 0, found.size))
    first, last = wanted
    headers = {**_facts(found), "Content-Range": f"bytes {first}-{last}/{found.size}"}
    return Answer(206, headers, _stretches(found, first, last + 1))


def delete_object(state: State, asked: Asked) -> Answer:
    """204 also where there was none."""
    state.delete(state.bucket(asked.bucket, asked.host.region), asked.object_key)
    return Answer(204)


def list_objects(state: State, asked: Asked) -> Answer:
    """ListObjects (V1): goes on after a key, NextMarker."""
    marker = asked.parameters.get("marker", "")
    bucket, page, nodes = _listed(state, asked, marker)
    encode = xml.encoder(asked.parameters.get("encoding-type", ""))
    more: list[xml.Node] = [("NextMarker", encode(page.last[0]))] if page.truncated else []
    return answers.document(
        ("ListBucketResult", [("Name", bucket.name), ("Marker", encode(marker)), *nodes, *more, *encode.nodes])
    )


def list_objects_v2(state: State, asked: Asked) -> Answer:
    """ListObjectsV2: goes on with a token, which here is the key in base64."""
    start_after, token = asked.parameters.get("start-after", ""), asked.parameters.get("continuation-token", "")
    encode = xml.encoder(asked.parameters.get("encoding-type", ""))
    bucket, page, nodes = _listed(state, asked, _key_of(token) if token else start_after)
    more: list[xml.Node] = [("ContinuationToken", token)] if token else []
    if start_after:
        more.append(("StartAfter", encode(start_after)))
    if page.truncated:
        more.append(("NextContinuationToken", base64.b64encode(page.last[0].encode()).decode()))
    count = len(page.names) + len(page.prefixes)
    return answers.document(
        ("ListBucketResult", [("Name", bucket.name), *nodes, *more, ("KeyCount", count), *encode.nodes])
    )


def refuse_conditions(asked: Asked) -> None:
    for name in CONDITIONS:
        if name in asked.headers:
            raise errors.not_implemented("-".join(word.capitalize() for word in name.split("-")))


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def _find(state: State, asked: Asked) -> Object:
    bucket = state.bucket(asked.bucket, asked.host.region)
    found = bucket.objects.get(asked.object_key)
    if found is None:
        raise errors.no_key(asked.object_key)
    return found


def _facts(found: Object) -> Mapping[str, str]:
    """The headers of HEAD and GET. Content-MD5 is for Normal objects only (HeadObject, "Response headers")."""
    facts = {
        **found.headers,
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.etag}"',
        "Last-Modified": http_date(found.modified),
        "x-oss-object-type": found.kind,
        "x-oss-hash-crc64ecma": str(found.crc64),
        "x-oss-storage-class": found.storage_class,
    }
    return {**facts, "Content-MD5": found.content_md5} if found.content_md5 else facts


def _stretches(found: Object, begin: int, end: int) -> tuple[Stretch, ...]:
    """Where the bytes from `begin` to before `end` are."""
    stretches, offset = [], 0
    for piece in found.pieces:
        first, last = max(begin - offset, 0), min(end - offset, piece.size)
        if first < last:
            stretches.append(Stretch(piece.path, first, last - first))
        offset += piece.size
    return tuple(stretches)


def _range(text: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None for the whole."""
    found = _RANGE.fullmatch(text)
    if not found or not size:
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if last and int(last) else None
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) <= end else None


def _listed(state: State, asked: Asked, after: str) -> tuple[Bucket, Page, list[xml.Node]]:
    prefix, delimiter = asked.parameters.get("prefix", ""), asked.parameters.get("delimiter", "")
    limit = number(asked, "max-keys", default=100, lowest=1, highest=1000)
    encode = xml.encoder(asked.parameters.get("encoding-type", ""))
    with state.lock:
        bucket = state.bucket(asked.bucket, asked.host.region)
        names = [(key, "") for key in bucket.objects]
        page = page_of(names, prefix=prefix, delimiter=delimiter, after=(after, ""), limit=limit)
        found = [bucket.objects[key] for key, _ in page.names]
    nodes: list[xml.Node] = [
        ("Prefix", encode(prefix)),
        ("MaxKeys", limit),
        ("Delimiter", encode(delimiter)),
        ("IsTruncated", page.truncated),
        *(("Contents", _entry(each, encode)) for each in found),
        *(("CommonPrefixes", [("Prefix", encode(each))]) for each in page.prefixes),
    ]
    return bucket, page, nodes


def _entry(found: Object, encode: xml.Encoder) -> list[xml.Node]:
    return [
        ("Key", encode(found.key)),
        ("LastModified", found.modified),
        ("ETag", f'"{found.etag}"'),
        ("Type", found.kind),
        ("Size", found.size),
        ("StorageClass", found.storage_class),
    ]


def _key_of(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError:
        raise errors.bad_argument(
            "continuation-token", token, "The continuation token provided is incorrect."
        ) from None
