"""The multipart API of S3 and OSS: one method for each operation, which returns a dataclass.

Every method raises NotSent, OutcomeUnknown (which includes UnreadableResponse) or Refused. Listings, HEAD, UploadPart,
PutObject and Abort are retried after temporary errors. Create and Complete are retried only if the store certainly did
not act; after other errors the caller checks the store (ListMultipartUploads, HEAD) before it retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from uploads.objectstore import checksums, successes, xml
from uploads.objectstore.checksums import CRC64_HEADER, WHOLE_OBJECT, BodyChecksum
from uploads.objectstore.client_lifecycle import LifecycleClient
from uploads.objectstore.client_listing import ListingClient
from uploads.objectstore.digests import Comparison, compare
from uploads.objectstore.errors import ObjectStoreError, OutcomeUnknown, Reason, Refused
from uploads.objectstore.keys import (
    bad_argument,
    check_bucket,
    check_header,
    check_object,
    check_range,
    check_upload,
    metadata_headers,
)
from uploads.objectstore.payload import OnBytes, Payload
from uploads.objectstore.providers import check_new_key, check_own_key
from uploads.objectstore.refusals import Response
from uploads.objectstore.transport import Call
from uploads.objectstore.types import MAX_PART_NUMBER, CompletedPart, FileSlice, ObjectFacts, SentBytes
from uploads.problems import Code, Problem

NO_UPLOAD = "partway-checks-writing"
"""The id of an upload that does not exist. Whoever reads the store's access log sees what such a request is for."""


class ObjectStoreClient(ListingClient, LifecycleClient):
    """One store. May be shared between threads. Close it, or use it as a context manager, to close its connections."""

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
        checksum: BodyChecksum = "md5",
    ) -> str:
        """CreateMultipartUpload (OSS: InitiateMultipartUpload): the upload id. Not retried after OutcomeUnknown.

        `forbid_overwrite`: Refused with EXISTS if an object with this key exists and the store checks it now (OSS).
        `checksum`: what the store is to verify the parts by.
        """
        check_bucket(bucket)
        check_new_key(self._provider, key, multipart=True)
        headers = self._object_headers(content_type, metadata, storage_class)
        if forbid_overwrite:
            headers |= self._forbidding(at_end=False)
        if checksum == "crc64nvme":
            headers |= {"x-amz-checksum-algorithm": "CRC64NVME", **WHOLE_OBJECT}
        call = Call("CreateMultipartUpload", "POST", bucket, key, {"uploads": ""}, headers)
        return self._read(call, lambda response: successes.created_upload_id(response, key), repeatable=False)

    def upload_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: FileSlice,
        *,
        checksum: BodyChecksum = "md5",
        on_bytes: OnBytes | None = None,
    ) -> SentBytes:
        """UploadPart: sends bytes of a file as part 1 to 10,000, and replaces an earlier part with this number.

        `checksum` is that of the upload.

        `on_bytes` is called with the number of bytes that the socket accepted, and with a negative number when they
        will be sent again. An exception that it raises ends the request and is raised unchanged. After a digest
        mismatch the bytes are sent again; the last attempt raises DIGEST_MISMATCH.
        """
        check_upload(bucket, key, upload_id)
        check_range("partNumber", number, 1, MAX_PART_NUMBER)
        payload = self._file_payload(body, checksum, on_bytes)
        query = {"partNumber": str(number), "uploadId": upload_id}
        return self._send_bytes(Call("UploadPart", "PUT", bucket, key, query, payload=payload), payload)

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
        if_match: str = "",
        checksum: BodyChecksum = "md5",
        on_bytes: OnBytes | None = None,
    ) -> SentBytes:
        """PutObject: sends bytes of a file, or none, as the object. `on_bytes` as for upload_part.

        `forbid_overwrite`: Refused with EXISTS if an object with this key exists, even from an earlier attempt.
        `if_match`: also if its object has another ETag than this one, or if there is none.
        """
        check_bucket(bucket)
        check_new_key(self._provider, key, multipart=False)
        headers = self._object_headers(content_type, metadata, storage_class)
        headers |= self._conditions(forbid_overwrite, if_match)
        payload = Payload(b"", checksum=checksum) if body is None else self._file_payload(body, checksum, on_bytes)
        return self._send_bytes(Call("PutObject", "PUT", bucket, key, headers=headers, payload=payload), payload)

    def complete_multipart_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        *,
        forbid_overwrite: bool = False,
        if_match: str = "",
        crc64: int | None = None,
    ) -> SentBytes:
        """CompleteMultipartUpload with these parts in ascending order.

        Not retried after OutcomeUnknown or InternalError: HEAD the object first. The ETag may be empty (Ceph).
        `forbid_overwrite`: Refused with EXISTS if an object with this key exists. `if_match`: also if its object has
        another ETag than this one, or if there is none. `crc64`: that of the whole object (NVME), which the store then
        verifies.
        """
        check_upload(bucket, key, upload_id)
        check_own_key(self._provider, key)
        for part in parts:
            check_range("partNumber", part.number, 1, MAX_PART_NUMBER)
        payload = Payload(xml.complete_body(parts, self._dialect.namespace))
        # No content type: Swift applies it to the object if none was set when the upload was created.
        headers = self._conditions(forbid_overwrite, if_match)
        if crc64 is not None:
            headers |= {CRC64_HEADER: checksums.as_store_writes_it("nvme", crc64), **WHOLE_OBJECT}
        query = {"uploadId": upload_id}
        call = Call("CompleteMultipartUpload", "POST", bucket, key, query, headers, payload)
        return self._read(call, lambda response: successes.completed(response, key), repeatable=False)

    def abort_multipart_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        on_repeat: Callable[[ObjectStoreError], None] = lambda _: None,
    ) -> str:
        """AbortMultipartUpload. Returns the store's request id, or ''.

        Refused with NO_SUCH_UPLOAD if it no longer exists, even after an earlier attempt.

        `on_repeat` is called with the error of each attempt that is followed by another: one of them may have acted.
        """
        check_upload(bucket, key, upload_id)
        self._require_upload(bucket, key, upload_id)
        call = Call("AbortMultipartUpload", "DELETE", bucket, key, {"uploadId": upload_id})
        return self._read(call, lambda response: successes.without_body(response).request_id, on_repeat=on_repeat)

    def check_writing(self, bucket: str, key: str) -> None:
        """Whether the credentials may write the key: UploadPart without bytes, for an upload that does not exist.

        A store that would accept a part responds that there is no such upload. Unlike HEAD, the response has the
        store's code. Raises Refused with any other refusal. Of a store that accepts the part, it is removed again.
        """
        check_object(bucket, key)
        query = {"partNumber": "1", "uploadId": NO_UPLOAD}
        call = Call("CheckWriting", "PUT", bucket, key, query, payload=Payload(b""))
        try:
            self._read(call, successes.without_body)
        except Refused as refused:
            if refused.reason is Reason.NO_SUCH_UPLOAD:
                return
            refused.operation = "UploadPart"  # The operation whose permission is missing; metrics count it separately.
            raise
        with suppress(ObjectStoreError):
            self._read(Call("AbortMultipartUpload", "DELETE", bucket, key, {"uploadId": NO_UPLOAD}), lambda _: None)

    # Objects

    def head_object(self, bucket: str, key: str, *, with_checksum: bool = False) -> ObjectFacts:
        """HeadObject. Refused with NO_SUCH_KEY if there is none (without permission to list: PERMISSION).

        `with_checksum`: request the object's checksum also from a store whose profile does not demand that.
        """
        check_object(bucket, key)
        requests = with_checksum or self._provider.requests_checksums
        headers = {"x-amz-checksum-mode": "ENABLED"} if requests else {}
        return self._read(Call("HeadObject", "HEAD", bucket, key, headers=headers), successes.object_facts)

    def delete_object(self, bucket: str, key: str, version_id: str = "") -> None:
        """DeleteObject; permanent if a version is given. Succeeds if the object does not exist."""
        check_object(bucket, key)
        query = {"versionId": version_id} if version_id else {}
        self._read(Call("DeleteObject", "DELETE", bucket, key, query), successes.without_body)

    def _object_headers(
        self, content_type: str, metadata: Mapping[str, str] | None, storage_class: str
    ) -> dict[str, str]:
        given = {"Content-Type": content_type, self._dialect.header("storage-class"): storage_class}
        headers = {name: value for name, value in given.items() if value}
        for name, value in headers.items():
            check_header(value, Code.HEADER_NOT_ASCII, header=name)
        return headers | metadata_headers(metadata, self._dialect.header("meta-"))

    def _conditions(self, forbid_overwrite: bool, if_match: str) -> dict[str, str]:
        """The headers that let the store decide, at its last step, whether it may replace an object."""
        headers = self._forbidding(at_end=True) if forbid_overwrite else {}
        return headers | ({"If-Match": f'"{if_match}"'} if if_match else {})

    def _forbidding(self, *, at_end: bool) -> dict[str, str]:
        """The header that keeps the store from replacing an object. S3 checks it only as the last step."""
        match self._provider.forbid_overwrite:
            case "x-oss-forbid-overwrite":
                return {"x-oss-forbid-overwrite": "true"}
            case "if-none-match":
                return {"If-None-Match": "*"} if at_end else {}
            case _:
                raise bad_argument(Code.OVERWRITE_NOT_PREVENTABLE)

    def _file_payload(self, body: FileSlice, checksum: BodyChecksum, on_bytes: OnBytes | None) -> Payload:
        sha256, crc64 = self._transport.signs_payloads, self._provider.crc64
        return Payload(body, sha256=sha256, crc64=crc64, checksum=checksum, on_bytes=on_bytes)

    def _send_bytes(self, call: Call, payload: Payload) -> SentBytes:
        def reader(response: Response) -> SentBytes:
            sent = successes.sent_bytes(response, payload)
            found = compare(
                self._provider,
                payload,
                etag=sent.etag,
                crc64=sent.reported_crc64,
                is_encrypted=response.is_encrypted,
            )
            if found is Comparison.OTHER_CRC64 and sent.reported_crc64 is not None:
                reported = checksums.as_hex(sent.reported_crc64.value)
                raise _other_bytes(Code.CRC64_DIFFERS, reported, checksums.as_hex(payload.crc64))
            if found is Comparison.OTHER_ETAG:
                raise _other_bytes(Code.ETAG_DIFFERS, sent.etag, payload.md5.hex())
            is_md5 = payload.known_md5 is not None and sent.etag.lower() == payload.known_md5.hex()
            return replace(sent, etag_is_md5=is_md5)

        return self._read(call, reader)


def _other_bytes(code: Code, reported: str, expected: str) -> OutcomeUnknown:
    problem = Problem(code, reported=reported, expected=expected)
    return OutcomeUnknown(problem, reason=Reason.DIGEST_MISMATCH, retryable=True)
