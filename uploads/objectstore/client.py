"""The multipart API of S3 and OSS: one method for each operation, which returns a dataclass.

Every method raises NotSent, OutcomeUnknown (which includes UnreadableResponse) or Refused. Listings, HEAD, UploadPart,
PutObject and Abort are retried after temporary errors. Create and Complete are retried only if the store certainly did
not act; after other errors the caller checks the store (ListMultipartUploads, HEAD) before it retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from uploads.objectstore import checksums, xml
from uploads.objectstore.dialects import dialect_of
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, unreadable
from uploads.objectstore.keys import (
    bad_argument,
    check_bucket,
    check_header,
    check_key,
    check_path_key,
    check_range,
    check_text,
    check_upload_id,
    key_before,
    metadata_headers,
)
from uploads.objectstore.payload import OnBytes, Payload
from uploads.objectstore.providers import check_new_key, profile_of
from uploads.objectstore.refusals import Response, http_date
from uploads.objectstore.retry import DEFAULT_RETRIES, RetryPolicy, run
from uploads.objectstore.signing import signer_for
from uploads.objectstore.transport import Call, Observer, Transport
from uploads.objectstore.types import (
    MAX_PAGE,
    MAX_PART_NUMBER,
    Bucket,
    CompletedPart,
    FileSlice,
    ListedPart,
    Marker,
    ObjectFacts,
    PartsPage,
    SentBytes,
    StoreConfig,
    UploadsPage,
)
from uploads.objectstore.xml_tree import Fields
from uploads.problems import Code, Problem

T = TypeVar("T")


class ObjectStoreClient:
    """One store. May be shared between threads. Close it, or use it as a context manager, to close its connections."""

    def __init__(
        self, config: StoreConfig, *, retries: RetryPolicy = DEFAULT_RETRIES, observer: Observer | None = None
    ) -> None:
        """NotSent with BAD_ARGUMENT for an invalid endpoint URL, or an unknown provider or signature."""
        self._provider = profile_of(config)
        self._dialect = dialect_of(config.signature)
        self._transport = Transport(config, signer_for(config), observer)
        self._observer = observer
        self._retries = retries
        self._requests_encoding = self._provider.url_encoding != "none"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    @property
    def clock_offset(self) -> timedelta:
        """How far the store's clock is ahead of ours, to the second; zero before the first response."""
        return self._transport.clock_offset

    # Buckets

    def list_buckets(self) -> tuple[Bucket, ...]:
        """ListBuckets (OSS: ListBuckets, GetService): all buckets, from all pages."""
        found: list[Bucket] = []
        query, seen = dict(self._dialect.list_buckets), set[str]()
        while True:
            call = Call("ListBuckets", "GET", query=query)
            page, onward = self._read(call, lambda response: xml.buckets(response.body))
            found += page
            if not onward:
                return tuple(found)
            query |= onward
            if not _is_new(str(onward), seen):
                raise _loop("ListBuckets", onward)

    def head_bucket(self, bucket: str) -> str:
        """HeadBucket (OSS: GetBucketInfo): the bucket's region, '' if the store does not name it.

        Raises Refused if the credentials may not use the bucket.
        """
        check_bucket(bucket)
        method, query = self._dialect.bucket_region
        response = self._call(Call("HeadBucket", method, bucket, query=query))
        return response.named("bucket-region") or (xml.bucket_region(response.body) if response.body else "")

    # Uploads in progress

    def list_multipart_uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        max_uploads: int = MAX_PAGE,
        key_marker: str = "",
        upload_id_marker: str = "",
    ) -> UploadsPage:
        """ListMultipartUploads: one page of 1 to 1,000 uploads after the markers, with one request.

        If a store appears to encode keys without saying so, the client repeats the request once without encoding-type,
        and does not request it again.
        """
        check_bucket(bucket)
        check_range("max-uploads", max_uploads, 1, MAX_PAGE)
        after = (key_marker, key_marker and upload_id_marker)
        if self._provider.marker_pair == "key-before" and after[1]:
            after = key_before(after, prefix, delimiter)
        query = _query(prefix=prefix, delimiter=delimiter, key_marker=after[0], upload_id_marker=after[1])
        query |= {"uploads": "", "max-uploads": str(max_uploads)}
        return _under(prefix, self._listed(bucket, query))

    def _listed(self, bucket: str, query: Mapping[str, str]) -> UploadsPage:
        if self._requests_encoding:
            call = Call("ListMultipartUploads", "GET", bucket, query={**query, "encoding-type": "url"})
            if page := self._read(call, self._page_unless_ambiguous):
                return page
            self._requests_encoding = False
        return self._read(Call("ListMultipartUploads", "GET", bucket, query=query), self._uploads_page)

    def iter_multipart_uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        max_uploads: int = MAX_PAGE,
        key_marker: str = "",
        upload_id_marker: str = "",
    ) -> Iterator[UploadsPage]:
        """All pages after the markers, without repeated uploads or prefixes.

        The delimiter is not sent to a store that groups incorrectly, so that no upload is lost. Raises
        UnreadableResponse if a truncated page has no marker, or a pair of markers that was used before.
        """
        if self._provider.delimiter == "broken":
            delimiter = ""
        markers = (key_marker, upload_id_marker)
        seen_markers, seen_uploads, seen_prefixes = {markers}, set[Marker](), set[str]()
        while True:
            page = self.list_multipart_uploads(
                bucket,
                prefix=prefix,
                delimiter=delimiter,
                max_uploads=max_uploads,
                key_marker=markers[0],
                upload_id_marker=markers[1],
            )
            yield _without_repeats(page, seen_uploads, seen_prefixes)
            if not page.is_truncated:
                return
            markers = page.onward
            if not markers[0] or markers in seen_markers:
                raise _loop("ListMultipartUploads", markers)
            seen_markers.add(markers)

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, max_parts: int = MAX_PAGE, part_number_marker: int = 0
    ) -> PartsPage:
        """ListParts: one page of 1 to 1,000 parts whose numbers are greater than the marker."""
        _check_upload(bucket, key, upload_id)
        check_range("max-parts", max_parts, 1, MAX_PAGE)
        check_range("part-number-marker", part_number_marker, 0, 2**31 - 1)
        query = {"uploadId": upload_id, "max-parts": str(max_parts)}
        if part_number_marker:
            query["part-number-marker"] = str(part_number_marker)
        return self._read(Call("ListParts", "GET", bucket, key, query), _parts_page)

    def iter_parts(
        self, bucket: str, key: str, upload_id: str, *, max_parts: int = MAX_PAGE, part_number_marker: int = 0
    ) -> Iterator[ListedPart]:
        """All parts after the marker, each number once, from as many pages of ListParts as necessary.

        Raises UnreadableResponse if a truncated page has no marker, or one that was used before.
        """
        marker, seen_markers, seen = part_number_marker, {part_number_marker}, set[int]()
        while True:
            page = self.list_parts(bucket, key, upload_id, max_parts=max_parts, part_number_marker=marker)
            yield from (part for part in page.parts if _is_new(part.number, seen))
            if not page.is_truncated:
                return
            marker = page.next_part_number_marker
            if marker <= 0 or marker in seen_markers:
                raise _loop("ListParts", marker)
            seen_markers.add(marker)

    # Creating, sending and ending uploads

    def create_multipart_upload(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        storage_class: str = "",
        forbid_overwrite: bool = False,
    ) -> str:
        """CreateMultipartUpload (OSS: InitiateMultipartUpload): the upload id. Not retried after OutcomeUnknown.

        `forbid_overwrite`: Refused with EXISTS if an object with this key exists and the store checks it now (OSS).
        """
        check_bucket(bucket)
        check_new_key(self._provider, key, multipart=True)
        headers = self._object_headers(content_type, metadata, storage_class)
        if forbid_overwrite:
            headers |= self._forbidding(at_end=False)
        call = Call("CreateMultipartUpload", "POST", bucket, key, {"uploads": ""}, headers)
        return self._read(call, lambda response: xml.upload_id(response.body), repeatable=False)

    def upload_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: FileSlice,
        *,
        on_bytes: OnBytes | None = None,
    ) -> SentBytes:
        """UploadPart: sends bytes of a file as part 1 to 10,000, and replaces an earlier part with this number.

        `on_bytes` is called with the number of bytes that the socket accepted, and with a negative number when they
        will be sent again. An exception that it raises ends the request and is raised unchanged. After a digest
        mismatch the bytes are sent again; the last attempt raises DIGEST_MISMATCH.
        """
        _check_upload(bucket, key, upload_id)
        check_range("partNumber", number, 1, MAX_PART_NUMBER)
        payload = self._file_payload(body, on_bytes)
        query = {"partNumber": str(number), "uploadId": upload_id}
        sent = self._send_bytes(Call("UploadPart", "PUT", bucket, key, query, payload=payload), payload)
        if not sent.etag:
            raise unreadable(Code.RESPONSE_WITHOUT_ETAG)
        return sent

    def put_object(
        self,
        bucket: str,
        key: str,
        body: FileSlice | None,
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        storage_class: str = "",
        forbid_overwrite: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> SentBytes:
        """PutObject: sends bytes of a file, or none, as the object. `on_bytes` as for upload_part.

        `forbid_overwrite`: Refused with EXISTS if an object with this key exists, even from an earlier attempt.
        """
        check_bucket(bucket)
        check_new_key(self._provider, key, multipart=False)
        headers = self._object_headers(content_type, metadata, storage_class)
        if forbid_overwrite:
            headers |= self._forbidding(at_end=True)
        payload = Payload(b"") if body is None else self._file_payload(body, on_bytes)
        return self._send_bytes(Call("PutObject", "PUT", bucket, key, headers=headers, payload=payload), payload)

    def complete_multipart_upload(
        self, bucket: str, key: str, upload_id: str, parts: Sequence[CompletedPart], *, forbid_overwrite: bool = False
    ) -> SentBytes:
        """CompleteMultipartUpload with these parts in ascending order.

        Not retried after OutcomeUnknown or InternalError: HEAD the object first. The ETag may be empty (Ceph).
        `forbid_overwrite`: Refused with EXISTS if an object with this key exists.
        """
        _check_upload(bucket, key, upload_id)
        if self._provider.keys_are_paths:
            check_path_key(key)
        for part in parts:
            check_range("partNumber", part.number, 1, MAX_PART_NUMBER)
        payload = Payload(xml.complete_body(parts, self._dialect.namespace))
        # No content type: Swift applies it to the object if none was set when the upload was created.
        headers = self._forbidding(at_end=True) if forbid_overwrite else {}
        query = {"uploadId": upload_id}
        call = Call("CompleteMultipartUpload", "POST", bucket, key, query, headers, payload)
        return self._read(call, _completed, repeatable=False)

    def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """AbortMultipartUpload. Refused with NO_SUCH_UPLOAD if it no longer exists, even after an earlier attempt."""
        _check_upload(bucket, key, upload_id)
        self._call(Call("AbortMultipartUpload", "DELETE", bucket, key, {"uploadId": upload_id}))

    # Objects

    def head_object(self, bucket: str, key: str) -> ObjectFacts:
        """HeadObject. Refused with NO_SUCH_KEY if there is none (without permission to list: PERMISSION)."""
        _check_object(bucket, key)
        headers = {"x-amz-checksum-mode": "ENABLED"} if self._provider.asks_checksums else {}
        return self._read(Call("HeadObject", "HEAD", bucket, key, headers=headers), _object_facts)

    def delete_object(self, bucket: str, key: str, version_id: str = "") -> None:
        """DeleteObject; permanent if a version is given. Succeeds if the object does not exist."""
        _check_object(bucket, key)
        query = {"versionId": version_id} if version_id else {}
        self._call(Call("DeleteObject", "DELETE", bucket, key, query))

    # Requests

    def _call(self, call: Call) -> Response:
        return self._read(call, lambda response: response)

    def _read(self, call: Call, reader: Callable[[Response], T], *, repeatable: bool = True) -> T:
        """Send the call and read its response, with retries."""

        def before_repeat(error: ObjectStoreError) -> None:
            if self._observer is not None:
                self._observer.repeats(error)
            if call.payload is not None:
                call.payload.count_as_unsent()
                if error.reason is Reason.DIGEST_MISMATCH:
                    call.payload.read_digests()

        return run(
            lambda: self._transport.exchange(call, reader),
            self._retries,
            repeatable=repeatable,
            before_repeat=before_repeat,
        )

    def _object_headers(
        self, content_type: str, metadata: Mapping[str, str] | None, storage_class: str
    ) -> dict[str, str]:
        given = {"Content-Type": content_type, self._dialect.header("storage-class"): storage_class}
        headers = {name: value for name, value in given.items() if value}
        for name, value in headers.items():
            check_header(value, Code.HEADER_NOT_ASCII, header=name)
        return headers | metadata_headers(metadata, self._dialect.header("meta-"))

    def _forbidding(self, *, at_end: bool) -> dict[str, str]:
        """The header that keeps the store from replacing an object. S3 checks it only as the last step."""
        match self._provider.forbid_overwrite:
            case "x-oss-forbid-overwrite":
                return {"x-oss-forbid-overwrite": "true"}
            case "if-none-match":
                return {"If-None-Match": "*"} if at_end else {}
            case _:
                raise bad_argument(Code.OVERWRITE_NOT_PREVENTABLE)

    def _file_payload(self, body: FileSlice, on_bytes: OnBytes | None) -> Payload:
        sha256, crc64 = self._transport.signs_payloads, self._provider.crc64
        return Payload(body, sha256=sha256, crc64=crc64, on_bytes=on_bytes)

    def _send_bytes(self, call: Call, payload: Payload) -> SentBytes:
        def reader(response: Response) -> SentBytes:
            etag = xml.unquoted(response.headers.get("etag", ""))
            reported = checksums.reported_crc64(response.headers)
            if reported is not None and reported.algorithm == self._provider.crc64 and reported.value != payload.crc64:
                raise _other_bytes(
                    Code.CRC64_DIFFERS, checksums.as_hex(reported.value), checksums.as_hex(payload.crc64)
                )
            if etag and self._provider.etag_is_md5 and not response.is_encrypted and etag.lower() != payload.md5.hex():
                raise _other_bytes(Code.ETAG_DIFFERS, etag, payload.md5.hex())
            return replace(_sent_bytes(response, etag), crc64=payload.crc64)

        return self._read(call, reader)

    def _uploads_page(self, response: Response) -> UploadsPage:
        return self._interpreted(xml.uploads_fields(response.body), response)

    def _page_unless_ambiguous(self, response: Response) -> UploadsPage | None:
        fields = xml.uploads_fields(response.body)
        return None if xml.encoding_is_ambiguous(fields) else self._interpreted(fields, response)

    def _interpreted(self, fields: Fields, response: Response) -> UploadsPage:
        markers_encoded = self._provider.url_encoding == "all"
        return xml.uploads_page(fields, markers_encoded=markers_encoded, request_id=response.request_id)


def _query(**values: str) -> dict[str, str]:
    """The parameters that are not empty, by their names in the API; each can be sent exactly."""
    named = {name.replace("_", "-"): text for name, text in values.items() if text}
    for name, text in named.items():
        check_text(name, text)
    return named


def _check_object(bucket: str, key: str) -> None:
    check_bucket(bucket)
    check_key(key)


def _check_upload(bucket: str, key: str, upload_id: str) -> None:
    _check_object(bucket, key)
    check_upload_id(upload_id)


def _under(prefix: str, page: UploadsPage) -> UploadsPage:
    """The page without uploads that lack the prefix: with the prefix `a/`, Swift also lists uploads of the key `a`."""
    if all(upload.key.startswith(prefix) for upload in page.uploads):
        return page
    kept = tuple(upload for upload in page.uploads if upload.key.startswith(prefix))
    key_marker, upload_id_marker = page.onward
    return replace(page, uploads=kept, next_key_marker=key_marker, next_upload_id_marker=upload_id_marker)


def _without_repeats(page: UploadsPage, uploads: set[Marker], prefixes: set[str]) -> UploadsPage:
    """The page without the uploads and prefixes in the sets, to which the page's are added."""
    new_uploads = [each for each in page.uploads if _is_new((each.key, each.upload_id), uploads)]
    new_prefixes = [each for each in page.common_prefixes if _is_new(each, prefixes)]
    return replace(page, uploads=tuple(new_uploads), common_prefixes=tuple(new_prefixes))


def _is_new(item: T, seen: set[T]) -> bool:
    new = item not in seen
    seen.add(item)
    return new


def _other_bytes(code: Code, reported: str, expected: str) -> OutcomeUnknown:
    problem = Problem(code, reported=reported, expected=expected)
    return OutcomeUnknown(problem, reason=Reason.DIGEST_MISMATCH, retryable=True)


def _loop(operation: str, marker: object) -> ObjectStoreError:
    error = unreadable(Code.LISTING_WITHOUT_END, marker=repr(marker))
    error.operation = operation
    return error


def _parts_page(response: Response) -> PartsPage:
    return xml.parts_page(
        response.body,
        abort_date=http_date(response.named("abort-date")),
        abort_rule_id=response.named("abort-rule-id"),
        request_id=response.request_id,
    )


def _sent_bytes(response: Response, etag: str) -> SentBytes:
    return SentBytes(
        etag,
        response.request_id,
        response.named("version-id"),
        reported_crc64=checksums.reported_crc64(response.headers),
    )


def _completed(response: Response) -> SentBytes:
    """The response to Complete contains the object's checksum in its body (S3) or in a header (OSS)."""
    sent = _sent_bytes(response, xml.completed_etag(response.body))
    return replace(sent, reported_crc64=sent.reported_crc64 or xml.completed_crc64(response.body))


def _object_facts(response: Response) -> ObjectFacts:
    headers = response.headers
    size = headers.get("content-length", "")
    if not size.isdigit():
        raise unreadable(Code.RESPONSE_WITHOUT_SIZE)
    return ObjectFacts(
        size=int(size),
        etag=xml.unquoted(headers.get("etag", "")),
        last_modified=http_date(headers.get("last-modified", "")),
        content_type=headers.get("content-type", ""),
        storage_class=response.named("storage-class"),
        metadata=response.metadata,
        version_id=response.named("version-id"),
        request_id=response.request_id,
        crc64=checksums.reported_crc64(headers),
    )
