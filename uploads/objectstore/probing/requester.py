"""The requests of the checks: through the client where they are valid, past it where they are wrong on purpose.

Every request is counted. None is sent once the probe has used up its budget of requests or time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from uploads.objectstore import successes, xml
from uploads.objectstore.checksums import BodyChecksum
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.dialects import dialect_of
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused, UnreadableResponse
from uploads.objectstore.payload import Payload
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.created import CreatedThings, Leftover, clean, is_gone
from uploads.objectstore.refusals import Response
from uploads.objectstore.retry import RetryPolicy, run
from uploads.objectstore.signing import signer_for
from uploads.objectstore.transport import Call, Observer, Transport
from uploads.objectstore.types import MAX_PAGE, CompletedPart, Marker, StoreConfig, UploadsPage
from uploads.objectstore.xml_tree import Fields
from uploads.problems import Problem, ProblemError

RETRIES = RetryPolicy(attempts=3, cap=2.0, longest_retry_after=3.0)
ONCE = RetryPolicy(attempts=1)

OF_THE_KEY = frozenset({Reason.REFUSED, Reason.KEY_NOT_ALLOWED})
"""Reasons of a store that refuses a key. The response to HEAD has no code that would name the key."""

STALL_SECONDS = 15.0
"""No response to such small requests takes longer."""


@dataclass(frozen=True, slots=True)
class ProbeBudget:
    """The limits of a probe; the clean-up does not count."""

    requests: int = 200
    seconds: float = 180.0


class BudgetExhausted(ProblemError):
    """The probe has used up its time or its requests; the problem says which."""


class RequestCounter:
    """Counts requests and forwards them to another observer."""

    def __init__(self, observer: Observer | None) -> None:
        self.requests = 0
        self._observer = observer

    def requested(self, operation: str, seconds: float, error: ObjectStoreError | None) -> None:
        self.requests += 1
        if self._observer is not None:
            self._observer.requested(operation, seconds, error)

    def repeats(self, error: ObjectStoreError) -> None:
        if self._observer is not None:
            self._observer.repeats(error)


class Requester:
    """Sends requests about one bucket, and records in `created` what they create there."""

    def __init__(
        self,
        config: StoreConfig,
        bucket: str,
        created: CreatedThings,
        *,
        budget: ProbeBudget,
        observer: Observer | None = None,
    ) -> None:
        """NotSent with BAD_ARGUMENT for an invalid configuration."""
        self.bucket = bucket
        self.created = created
        self.config = replace(config, overrides=(), stall_timeout=min(config.stall_timeout, STALL_SECONDS))
        self.counter = RequestCounter(observer)
        self.dialect = dialect_of(config.signature)
        self._client = ObjectStoreClient(self.config, retries=RETRIES, observer=self.counter)
        self._transport = Transport(self.config, signer_for(self.config), self.counter)
        self._budget = budget
        self._until = time.monotonic() + budget.seconds
        self._keeps_versions: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._transport.close()

    @property
    def client(self) -> ObjectStoreClient:
        """The client, for one more request. Raises BudgetExhausted."""
        self._spend()
        return self._client

    def clean(self) -> tuple[Leftover, ...]:
        """Remove what was created, even if the budget is used up. See created.clean."""
        return clean(self._client, self.bucket, self.created)

    def _spend(self) -> None:
        if time.monotonic() >= self._until:
            raise BudgetExhausted(Problem(FindingCode.TIME_USED_UP, limit_seconds=self._budget.seconds))
        if self.counter.requests >= self._budget.requests:
            raise BudgetExhausted(Problem(FindingCode.REQUESTS_USED_UP, limit=self._budget.requests))

    def exchange(self, call: Call, *, policy: RetryPolicy = RETRIES) -> Response:
        """Send a call as it is; raises the same errors as the client. Successes of PUT have no body."""
        self._spend()
        reader = successes.without_body if call.method == "PUT" else _as_it_is
        return run(lambda: self._transport.exchange(call, reader), policy, repeatable=True)

    # Uploads

    def start_upload(self, key: str, checksum: BodyChecksum = "md5") -> str:
        """CreateMultipartUpload; the upload id."""
        client = self.client
        self.created.upload_starting(key)
        try:
            upload_id = client.create_multipart_upload(self.bucket, key, checksum=checksum)
        except (NotSent, Refused) as error:
            # An internal error proves nothing: Swift responds with 500 to some keys, and keeps the upload.
            if isinstance(error, NotSent) or error.status < 500 or error.reason is Reason.THROTTLED:
                self.created.upload_ended(key, "")
            raise
        except UnreadableResponse as error:
            if (other := successes.upload_of_other_key(error)) is not None:
                self.created.upload_started(key, other.upload_id)
            raise
        self.created.upload_started(key, upload_id)
        return upload_id

    def send_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        data: bytes,
        *,
        checksum: BodyChecksum = "md5",
        wrong: Mapping[str, str] | None = None,
    ) -> Response:
        """UploadPart. `wrong` has headers with a wrong checksum; it is sent once then."""
        query = {"partNumber": str(number), "uploadId": upload_id}
        payload = Payload(data, checksum=checksum)
        call = Call("UploadPart", "PUT", self.bucket, key, query, wrong or {}, payload)
        return self.exchange(call, policy=ONCE if wrong else RETRIES)

    def abort(self, key: str, upload_id: str) -> bool:
        """AbortMultipartUpload. Returns whether the upload is gone; if not, it stays recorded."""
        self.client.abort_multipart_upload(self.bucket, key, upload_id)
        gone = is_gone(self.client, self.bucket, key, upload_id)
        if gone:
            self.created.upload_ended(key, upload_id)
        return gone

    def complete(
        self, key: str, upload_id: str, parts: Sequence[CompletedPart], headers: Mapping[str, str] | None = None
    ) -> Response:
        """CompleteMultipartUpload with these parts, valid or not. Sent once: its errors are what the check tests."""
        body = xml.unchecked_complete_body(parts, self.dialect.namespace)
        given = {"Content-Type": "application/xml", **(headers or {})}
        call = Call("CompleteMultipartUpload", "POST", self.bucket, key, {"uploadId": upload_id}, given, Payload(body))
        with self._creating_object(key):
            response = self.exchange(call, policy=ONCE)
        self.created.object_created(key, self.version_of(response))
        self.created.upload_ended(key, upload_id, is_completed=True)
        return response

    def list_uploads(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        max_uploads: int = MAX_PAGE,
        after: Marker = ("", ""),
        encoded: bool = False,
    ) -> Fields:
        """One page of ListMultipartUploads as the store wrote it; `encoded` requests encoding-type=url."""
        markers = {"prefix": prefix, "delimiter": delimiter, "key-marker": after[0], "upload-id-marker": after[1]}
        query = {name: text for name, text in markers.items() if text}
        query |= {"uploads": "", "max-uploads": str(max_uploads)} | ({"encoding-type": "url"} if encoded else {})
        call = Call("ListMultipartUploads", "GET", self.bucket, query=query)
        try:
            return xml.uploads_fields(self.exchange(call).body)
        except Refused as refused:
            if refused.reason is not Reason.NO_SUCH_UPLOAD:
                raise
            return []

    def page(
        self, prefix: str, *, delimiter: str = "", max_uploads: int = MAX_PAGE, after: Marker = ("", "")
    ) -> UploadsPage:
        """The same, parsed, for keys that need no encoding."""
        return xml.uploads_page(
            self.list_uploads(prefix, delimiter=delimiter, max_uploads=max_uploads, after=after), markers_encoded=False
        )

    def pages(self, prefix: str, *, max_uploads: int, flags: Mapping[str, object]) -> Iterator[UploadsPage]:
        """All pages under the prefix, as the client requests them for a store with these fields of the profile."""
        config = replace(self.config, overrides=tuple(sorted(flags.items())))
        with ObjectStoreClient(config, retries=RETRIES, observer=self.counter) as client:
            pages = client.iter_multipart_uploads(self.bucket, prefix=prefix, max_uploads=max_uploads)
            while True:
                self._spend()
                if (page := next(pages, None)) is None:
                    return
                yield page

    # Objects

    def put_object(
        self,
        key: str,
        data: bytes,
        *,
        checksum: BodyChecksum = "md5",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """PutObject. With `headers`, which may be a wrong checksum or make a repeated request fail, it is sent once."""
        payload = Payload(data, checksum=checksum)
        call = Call("PutObject", "PUT", self.bucket, key, headers=headers or {}, payload=payload)
        with self._creating_object(key):
            response = self.exchange(call, policy=ONCE if headers else RETRIES)
        self.created.object_created(key, self.version_of(response))
        return response

    def version_of(self, response: Response) -> str:
        """The version of a created object; '' if the bucket keeps no versions.

        Garage names a version of every object, so GetBucketVersioning decides; if that fails, the named version.
        """
        version_id = response.named("version-id")
        if version_id and self._keeps_versions is None:
            self._keeps_versions = self._asked_for_versions()
        return version_id if self._keeps_versions else ""

    def _asked_for_versions(self) -> bool:
        call = Call("GetBucketVersioning", "GET", self.bucket, query={"versioning": ""})
        try:
            return bool(xml.versioning_status(self._transport.exchange(call, lambda response: response).body))
        except ObjectStoreError:
            return True

    @contextmanager
    def _creating_object(self, key: str) -> Iterator[None]:
        """Record that an object with this key may exist, until the store refuses to create it and has none.

        A refusal alone proves nothing: an earlier attempt, whose response was lost, may have created the object.
        """
        new = not any(each == key for each, _ in self.created.objects)
        self.created.object_starting(key)
        try:
            yield
        except Refused as refused:
            if new and self._is_absent(key, refused):
                self.created.object_deleted(key, "")
            raise

    def _is_absent(self, key: str, refused: Refused) -> bool:
        """Whether there certainly is no object. Deleting a missing one would add a delete marker among versions.

        HEAD finds none, or it is refused as the creation was: the store refuses all requests with this key.
        """
        try:
            self._client.head_object(self.bucket, key)
        except Refused as error:
            same = error.status == refused.status == 400 and {error.reason, refused.reason} <= OF_THE_KEY
            return same or error.reason is Reason.NO_SUCH_KEY
        except ObjectStoreError:
            return False
        return False


def _as_it_is(response: Response) -> Response:
    return response
