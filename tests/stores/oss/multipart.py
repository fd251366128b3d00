"""The six operations of multipart uploads, from InitiateMultipartUpload to ListMultipartUploads."""

from __future__ import annotations

import hashlib
import itertools
from urllib.parse import quote

from tests.stores.oss import bodies, errors, responses, xml
from tests.stores.oss.arguments import forbids_overwrite, number, storage_class, stored_headers
from tests.stores.oss.bodies import CRC64
from tests.stores.oss.listing import page_of
from tests.stores.oss.request import Request
from tests.stores.oss.responses import Response
from tests.stores.oss.state import Bucket, Object, Part, Piece, State, Upload, refuse_overwrite

MIN_PART = 100 * 1024
"""The minimum size of all parts but the last, in bytes. Only Complete checks it."""

MAX_PARTS = 10_000
BAD_NUMBER = "Part number must be an integer between 1 and 10000, inclusive."

# The EC of NoSuchUpload depends on the operation.
EC_PART, EC_ABORT, EC_COMPLETE, EC_LIST = "0042-00000104", "0042-00000002", errors.UNKNOWN_EC, errors.UNKNOWN_EC


def initiate(state: State, request: Request) -> Response:
    key, encode = request.object_key, xml.encoder(request.parameters.get("encoding-type", ""))
    bodies.read(request.body, request.headers)
    with state.lock:
        bucket = state.bucket(request.bucket, request.host.region)
        refuse_overwrite(bucket, key, forbid_overwrite=forbids_overwrite(request))
        kind = storage_class(request.header("x-oss-storage-class"), bucket.storage_class)
        upload = state.create_upload(bucket, key, kind, stored_headers(request))
    nodes: list[xml.Node] = [("Bucket", bucket.name), ("Key", encode(key)), ("UploadId", upload.upload_id)]
    return responses.document(("InitiateMultipartUploadResult", [*encode.nodes, *nodes]))


def upload_part(state: State, request: Request) -> Response:
    """A part replaces an earlier one with its number when it has been received completely."""
    with state.lock:
        bucket, upload = _find(state, request, EC_PART)
        if upload.aborted:
            raise errors.no_upload(upload.upload_id, EC_PART)
        part_number = _part_number(request)
        state.register_part(upload)
    path = state.new_path()
    try:
        digests = bodies.save(request.body, path, request.headers)
    except BaseException:
        state.unregister_part(bucket, upload)
        raise
    part = state.add_part(bucket, upload, part_number, digests, path, EC_PART)
    headers = {"ETag": f'"{part.etag}"', "x-oss-hash-crc64ecma": str(part.crc64)}
    return Response(200, {**headers, "Content-MD5": digests.content_md5})


def complete(state: State, request: Request) -> Response:
    """Build an object from the listed parts. Numbers may be missing, and other parts are deleted.

    The upload is completed even if the client has closed the connection.
    """
    text = bodies.read(request.body, request.headers)
    encode = xml.encoder(request.parameters.get("encoding-type", ""))
    with state.lock:
        bucket, upload = _find(state, request, EC_COMPLETE)
        if upload.aborted:
            raise errors.no_upload(upload.upload_id, EC_COMPLETE)
        parts = _chosen(request, upload, text)
        refuse_overwrite(bucket, upload.key, forbid_overwrite=forbids_overwrite(request))
        whole = _joined(state, upload, parts)
        state.put(bucket, whole, forbid_overwrite=False)
        state.end(bucket, upload, used={part.number for part in parts})
    nodes: list[xml.Node] = [
        *encode.nodes,
        ("Location", f"http://{request.host_text}/{quote(upload.key)}"),
        ("Bucket", bucket.name),
        ("Key", encode(upload.key)),
        ("ETag", f'"{whole.etag}"'),
    ]
    return responses.document(("CompleteMultipartUploadResult", nodes), {"x-oss-hash-crc64ecma": str(whole.crc64)})


def abort(state: State, request: Request) -> Response:
    with state.lock:
        bucket, upload = _find(state, request, EC_ABORT)
        state.abort(bucket, upload)
    return Response(204)


def list_parts(state: State, request: Request) -> Response:
    """Parts in the order of their numbers. NextPartNumberMarker is on the last page too, empty if it has no part."""
    encode = xml.encoder(request.parameters.get("encoding-type", ""))
    limit = number(request, "max-parts", default=1000, lowest=1, highest=1000)
    marker = number(request, "part-number-marker", default=0, lowest=0, highest=2**31 - 1)
    with state.lock:
        bucket, upload = _find(state, request, EC_LIST)
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
    return responses.document(("ListPartsResult", nodes))


def list_uploads(state: State, request: Request) -> Response:
    """Uploads in the order of key and upload id. The Next markers are on the last page too, empty on an empty page.

    An upload id marker without a key marker has no effect, because no key is empty.
    """
    parameters = request.parameters
    encode = xml.encoder(parameters.get("encoding-type", ""))
    prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "")
    key_marker, id_marker = parameters.get("key-marker", ""), parameters.get("upload-id-marker", "")
    limit = number(request, "max-uploads", default=1000, lowest=1, highest=1000)
    with state.lock:
        bucket = state.bucket(request.bucket, request.host.region)
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
    return responses.document(("ListMultipartUploadsResult", nodes))


def _find(state: State, request: Request, ec: str) -> tuple[Bucket, Upload]:
    bucket = state.bucket(request.bucket, request.host.region)
    upload_id = request.parameters.get("uploadId", "")
    upload = bucket.uploads.get((request.object_key, upload_id))
    if upload is None:
        raise errors.no_upload(upload_id, ec)
    return bucket, upload


def _part_number(request: Request) -> int:
    text = request.parameters["partNumber"]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PARTS):
        raise errors.bad_argument("partNumber", text, BAD_NUMBER)
    return int(text)


def _chosen(request: Request, upload: Upload, text: bytes) -> list[Part]:
    """The parts of the object. Raises InvalidPartOrder, InvalidPart or EntityTooSmall."""
    if request.header("x-oss-complete-all") == "yes":
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
    """The object of these parts, with a CRC-64 that is combined from those of the parts."""
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
    """The MD5 of the text of the parts' ETags. S3 uses the MD5 of the binary digests instead.

    The vendor's tests against the service compute it like this (aliyun-oss-java-sdk, calcMultipartsETag).
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
