"""What a success must carry to count as one. Everything else with status 2xx is an unreadable response.

A proxy may respond in the place of the store: with a page of its own, or with an empty response. Such a response proves
nothing, so the caller has to look up what the store has.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote, unquote_plus

from uploads.objectstore import checksums, xml
from uploads.objectstore.errors import ObjectStoreError, unreadable
from uploads.objectstore.payload import Payload
from uploads.objectstore.received import number_of, time_of
from uploads.objectstore.refusals import Response
from uploads.objectstore.types import ObjectFacts, PartsPage, SentBytes, UploadRef
from uploads.objectstore.xml_tree import get
from uploads.problems import Code

_UNWRITABLE = re.compile("[^\x20-\x7e\xa0-\ud7ff]")
"""Characters that stores do not return exactly in XML."""


def without_body(response: Response) -> Response:
    """PutObject, UploadPart, AbortMultipartUpload, DeleteObject. Raises UnreadableResponse if there is a body."""
    if response.body.strip():
        raise unreadable(Code.RESPONSE_WITH_BODY, size_bytes=len(response.body))
    return response


def sent_bytes(response: Response, payload: Payload) -> SentBytes:
    """PutObject and UploadPart. Raises UnreadableResponse without an ETag."""
    etag = without_body(response).etag
    if not etag:
        raise unreadable(Code.RESPONSE_WITHOUT_ETAG)
    return replace(_sent(response, etag), crc64=payload.crc64)


def created_upload_id(response: Response, key: str) -> str:
    """CreateMultipartUpload. Raises UnreadableResponse without an upload id, or if it belongs to another key.

    The bucket is not compared: for an access point, S3 names the bucket behind it.
    """
    upload_id = xml.upload_id(response.body)
    named = xml.named_key(response.body)
    if not _may_be(named, key):
        raise unreadable(Code.RESPONSE_FOR_OTHER_KEY, key=named, upload_id=upload_id)
    return upload_id


def upload_of_other_key(error: ObjectStoreError) -> UploadRef | None:
    """The upload of another key that a failed Create names.

    It exists if the store changes keys. Abort it only by the key that was requested: a response that was mixed up names
    an upload of another client.
    """
    problem = error.problem
    if problem is None or problem.code != Code.RESPONSE_FOR_OTHER_KEY:
        return None
    return UploadRef(str(problem.params["key"]), str(problem.params["upload_id"]))


def completed(response: Response, key: str) -> SentBytes:
    """CompleteMultipartUpload. The ETag may be missing (Ceph); the rest must be readable, and of this key.

    The response contains the object's checksum in its body (S3) or in a header (OSS).
    """
    _require(xml.named_key(response.body), key)
    sent = _sent(response, xml.completed_etag(response.body))
    return replace(sent, reported_crc64=sent.reported_crc64 or xml.completed_crc64(response.body))


def parts_page(response: Response, key: str, upload_id: str) -> PartsPage:
    """ListParts. Raises UnreadableResponse if the page names another key or upload id."""
    fields = xml.parts_fields(response.body)
    _require(get(fields, "Key"), key)
    _require(get(fields, "UploadId").strip(), upload_id)
    return xml.parts_page(
        fields,
        abort_date=time_of(response.named("abort-date")),
        abort_rule_id=response.named("abort-rule-id"),
        request_id=response.request_id,
    )


def object_facts(response: Response) -> ObjectFacts:
    """HeadObject. Raises UnreadableResponse without a size, or with neither an ETag nor a date, as a page has."""
    headers = response.headers
    size = number_of(headers.get("content-length", ""))
    if size is None:
        raise unreadable(Code.RESPONSE_WITHOUT_SIZE)
    if "etag" not in headers and "last-modified" not in headers:
        raise unreadable(Code.RESPONSE_NOT_OF_AN_OBJECT)
    return ObjectFacts(
        size=size,
        etag=response.etag,
        last_modified=time_of(headers.get("last-modified", "")),
        content_type=headers.get("content-type", ""),
        storage_class=response.named("storage-class"),
        metadata=response.metadata,
        version_id=response.named("version-id"),
        request_id=response.request_id,
        crc64=checksums.reported_crc64(headers),
        is_encrypted=response.is_encrypted,
    )


def _require(named: str, expected: str) -> None:
    """UnreadableResponse if a response names another key or upload id than the request."""
    if not _may_be(named, expected):
        raise unreadable(Code.RESPONSE_FOR_OTHER_UPLOAD, named=named, expected=expected)


def _may_be(named: str, expected: str) -> bool:
    """Whether a response is of the request, by a key or upload id: it names none, the same, or its encoded form."""
    if not named or _UNWRITABLE.search(expected):
        return True
    return expected in (named, unquote(named), unquote_plus(named))


def _sent(response: Response, etag: str) -> SentBytes:
    return SentBytes(
        etag,
        response.request_id,
        response.named("version-id"),
        reported_crc64=checksums.reported_crc64(response.headers),
    )
