"""The six operations of multipart uploads, from InitiateMultipartUpload to ListMultipartUploads."""

from __future__ import annotations

import hashlib
import itertools
from urllib.parse import quote

from tests.stores.oss import answers, bodies, errors, xml
from tests.stores.oss.answers import Answer
from tests.stores.oss.arguments import forbids_overwrite, kept_headers, number, storage_class
from tests.stores.oss.asked import Asked
from tests.stores.oss.bodies import CRC64
from tests.stores.oss.listing import page_of
from tests.stores.oss.objects import refuse_conditions
from tests.stores.oss.state import Bucket, Object, Part, Piece, State, Upload, refuse_overwrite

MIN_PART = 100 * 1024
"""Bytes, of every part but the last; looked at by Complete only."""

MAX_PARTS = 10_000
BAD_NUMBER = "Part number must be an integer between 1 and 10000, inclusive."

# The EC of NoSuchUpload tells which operation it was.
EC_PART, EC_ABORT, EC_COMPLETE, EC_LIST = "0042-00000104", "0042-00000002", errors.UNKNOWN_EC, errors.UNKNOWN_EC


def initiate(state: State, asked: Asked) -> Answer:
    key, encode = asked.object_key, xml.encoder(asked.parameters.get("encoding-type", ""))
    bodies.read(asked.body, asked.headers)
    with state.lock:
        bucket = state.bucket(asked.bucket, asked.host.region)
        refuse_overwrite(bucket, key, forbid_overwrite=forbids_overwrite(asked))
        kind = storage_class(asked.header("x-oss-storage-class"), bucket.storage_class)
        upload = state.begin(bucket, key, kind, kept_headers(asked))
    nodes: list[xml.Node] = [("Bucket", bucket.name), ("Key", encode(key)), ("UploadId", upload.upload_id)]
    return answers.document(("InitiateMultipartUploadResult", [*encode.nodes, *nodes]))


def upload_part(state: State, asked: Asked) -> Answer:
    """A part of a number that is there already replaces it, once it has arrived whole."""
    refuse_conditions(asked)
    with state.lock:
        bucket, upload = _find(state, asked, EC_PART)
        if upload.aborted:
            raise errors.no_upload(upload.upload_id, EC_PART)
        part_number = _part_number(asked)
        state.expect_part(upload)
    path = state.new_path()
    try:
        digests = bodies.save(asked.body, path, asked.headers)
    except BaseException:
        state.lose_part(bucket, upload)
        raise
    part = state.take_part(bucket, upload, part_number, digests, path, EC_PART)
    headers = {"ETag": f'"{part.etag}"', "x-oss-hash-crc64ecma": str(part.crc64)}
    return Answer(200, {**headers, "Content-MD5": digests.content_md5})


def complete(state: State, asked: Asked) -> Answer:
    """Make an object of the parts that are named. Numbers may be missing; parts that are not named are dropped.

    It is done whether or not somebody still waits for the answer.
    """
    text = bodies.read(asked.body, asked.headers)
    encode = xml.encoder(asked.parameters.get("encoding-type", ""))
    with state.lock:
        bucket, upload = _find(state, asked, EC_COMPLETE)
        if upload.aborted:
            raise errors.no_upload(upload.upload_id, EC_COMPLETE)
        parts = _chosen(asked, upload, text)
        refuse_overwrite(bucket, upload.key, forbid_overwrite=forbids_overwrite(asked))
        whole = _joined(state, upload, parts)
        state.put(bucket, whole, forbid_overwrite=False)
        state.end(bucket, upload, used={part.number for part in parts})
    nodes: list[xml.Node] = [
        *encode.nodes,
        ("Location", f"http://{asked.host_text}/{quote(upload.key)}"),
        ("Bucket", bucket.name),
        ("Key", encode(upload.key)),
        ("ETag", f'"{whole.etag}"'),
    ]
    return answers.document(("CompleteMultipartUploadResult", nodes), {"x-oss-hash-crc64ecma": str(whole.crc64)})


def abort(state: State, asked: Asked) -> Answer:
    with state.lock:
        bucket, upload = _find(state, asked, EC_ABORT)
        state.abort(bucket, upload)
    return Answer(204)


def list_parts(state: State, asked: Asked) -> Answer:
    """In the order of their numbers. NextPartNumberMarker comes on the last page too, empty where there is no part."""
    encode = xml.encoder(asked.parameters.get("encoding-type", ""))
    limit = number(asked, "max-parts", default=1000, lowest=1, highest=1000)
    marker = number(asked, "part-number-marker", default=0, lowest=0, highest=2**31 - 1)
    with state.lock:
        bucket, upload = _find(state, asked, EC_LIST)
        numbers = sorted(each for each in upload.parts if each > marker)
        shown = [upload.parts[each] for each in numbers[:limit]]
    nodes: list[xml.Node] = [
        *encode.nodes,
        ("Bucket", bucket.name),
        ("Key", encode(upload.key)),
        ("UploadId", upload.upload_id),
        ("StorageClass", upload.storage_class),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1].number if shown else ""),
        ("MaxParts", limit),
        ("IsTruncated", len(numbers) > limit),
        *(("Part", _part_nodes(part)) for part in shown),
    ]
    return answers.document(("ListPartsResult", nodes))


def list_uploads(state: State, asked: Asked) -> Answer:
    """In the order of key and upload id. The Next markers come on the last page too, empty on an empty one.

    An upload id marker without a key marker says nothing: no key is empty.
    """
    asks = asked.parameters
    encode = xml.encoder(asks.get("encoding-type", ""))
    prefix, delimiter = asks.get("prefix", ""), asks.get("delimiter", "")
    key_marker, id_marker = asks.get("key-marker", ""), asks.get("upload-id-marker", "")
    limit = number(asked, "max-uploads", default=1000, lowest=1, highest=1000)
    with state.lock:
        bucket = state.bucket(asked.bucket, asked.host.region)
        page = page_of(bucket.uploads, prefix=prefix, delimiter=delimiter, after=(key_marker, id_marker), limit=limit)
        shown = [bucket.uploads[name] for name in page.names]
    nodes: list[xml.Node] = [
        *encode.nodes,
        ("Bucket", bucket.name),
        ("KeyMarker", encode(key_marker)),
        ("UploadIdMarker", id_marker),
        ("NextKeyMarker", encode(page.last[0])),
        ("NextUploadIdMarker", page.last[1]),
        ("Delimiter", encode(delimiter)),
        ("Prefix", encode(prefix)),
        ("MaxUploads", limit),
        ("IsTruncated", page.truncated),
        *(("Upload", _upload_nodes(upload, encode)) for upload in shown),
        *(("CommonPrefixes", [("Prefix", encode(each))]) for each in page.prefixes),
    ]
    return answers.document(("ListMultipartUploadsResult", nodes))


def _find(state: State, asked: Asked, ec: str) -> tuple[Bucket, Upload]:
    bucket = state.bucket(asked.bucket, asked.host.region)
    upload_id = asked.parameters.get("uploadId", "")
    upload = bucket.uploads.get((asked.object_key, upload_id))
    if upload is None:
        raise errors.no_upload(upload_id, ec)
    return bucket, upload


def _part_number(asked: Asked) -> int:
    text = asked.parameters["partNumber"]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PARTS):
        raise errors.bad_argument("partNumber", text, BAD_NUMBER)
    return int(text)


def _chosen(asked: Asked, upload: Upload, text: bytes) -> list[Part]:
    """The parts it shall be made of; InvalidPartOrder, InvalidPart, EntityTooSmall."""
    if asked.header("x-oss-complete-all") == "yes":
        if text.strip():
            message = "Should not speficy both complete all header and http body."
            raise errors.bad_argument("x-oss-complete-all", "yes", message, "0042-00000216")
        parts = [upload.parts[each] for each in sorted(upload.parts)]
        if not parts:
            raise errors.bad_xml()
    else:
        parts = _named(upload, xml.parse_complete(text))
    for part in parts[:-1]:
        if part.size < MIN_PART:
            raise errors.too_small(part.number, part.size)
    return parts


def _named(upload: Upload, named: list[tuple[int, str]]) -> list[Part]:
    numbers = [each for each, _ in named]
    if not all(1 <= each <= MAX_PARTS for each in numbers):
        raise errors.bad_part_order(BAD_NUMBER, upload.upload_id)
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        message = "The list of parts was not in ascending order. Parts list must specified in order by part number."
        raise errors.bad_part_order(message, upload.upload_id)
    parts = []
    for part_number, etag in named:
        part = upload.parts.get(part_number)
        if part is None or part.etag != etag.upper():
            raise errors.bad_part(part_number, etag, upload.upload_id)
        parts.append(part)
    return parts


def _joined(state: State, upload: Upload, parts: list[Part]) -> Object:
    """The object of these parts. Its CRC-64 is that of all bytes, combined from the parts'."""
    crc64 = 0
    for part in parts:
        crc64 = CRC64.combine(crc64, part.crc64, part.size)
    return Object(
        upload.key,
        _etag(parts),
        sum(part.size for part in parts),
        crc64,
        state.now(),
        tuple(Piece(part.path, part.size) for part in parts),
        kind="Multipart",
        storage_class=upload.storage_class,
        headers=upload.headers,
    )


def _etag(parts: list[Part]) -> str:
    """No MD5 of the object and not S3's either, which digests the parts' digests: OSS digests their text.

    So the vendor's own tests against the service compute it (aliyun-oss-java-sdk, calcMultipartsETag).
    """
    text = "".join(part.etag for part in parts)
    return f"{hashlib.md5(text.encode()).hexdigest().upper()}-{len(parts)}"


def _part_nodes(part: Part) -> list[xml.Node]:
    return [
        ("PartNumber", part.number),
        ("LastModified", part.modified),
        ("ETag", f'"{part.etag}"'),
        ("HashCrc64ecma", str(part.crc64)),
        ("Size", part.size),
    ]


def _upload_nodes(upload: Upload, encode: xml.Encoder) -> list[xml.Node]:
    return [
        ("Key", encode(upload.key)),
        ("UploadId", upload.upload_id),
        ("StorageClass", upload.storage_class),
        ("Initiated", upload.initiated),
    ]
