"""LifecycleClient: the lifecycle configuration of a bucket, which is read and replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable

from uploads.objectstore import successes
from uploads.objectstore.client_base import ClientBase
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused, UnreadableResponse
from uploads.objectstore.keys import check_bucket
from uploads.objectstore.payload import Payload
from uploads.objectstore.providers import WRITABLE
from uploads.objectstore.refusals import Response
from uploads.objectstore.transport import Call
from uploads.objectstore.xml_document import Element, LifecycleDocument, read_document, write_document
from uploads.problems import Code, Problem

ROOT = "LifecycleConfiguration"

NOT_CONFIGURED = frozenset({"NoSuchLifecycleConfiguration", "NoSuchLifecycle"})
"""The codes of a bucket without rules: of S3 ("GetBucketLifecycleConfiguration") and of OSS ("GetBucketLifecycle")."""

NOT_SUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "UnsupportedOperation"})

SIZE_RULE = "x-amz-transition-default-minimum-object-size"
"""A part of the configuration that S3 keeps in a header. A request without it sets it to its default."""

QUERY = {"lifecycle": ""}

Edit = Callable[[LifecycleDocument], LifecycleDocument]


def has_no_rules(error: ObjectStoreError) -> bool:
    """Whether a store that was asked for rules says that it has no such thing.

    Swift ignores the parameter and lists the bucket. (It would also delete the bucket instead of its rules.)
    """
    if isinstance(error, UnreadableResponse):
        problem = error.problem
        return problem is not None and (
            problem.code == Code.RESPONSE_ELEMENT_UNEXPECTED and problem.params.get("found") == "ListBucketResult"
        )
    return isinstance(error, Refused) and (error.code in NOT_SUPPORTED or error.status in (405, 501))


class LifecycleClient(ClientBase):
    """The operations on lifecycle rules."""

    def get_bucket_lifecycle(self, bucket: str) -> LifecycleDocument:
        """GetBucketLifecycleConfiguration (OSS: GetBucketLifecycle). Without rules, the document has no root."""
        check_bucket(bucket)
        call = Call("GetBucketLifecycleConfiguration", "GET", bucket, query=QUERY)
        try:
            return self._read(call, _document)
        except Refused as refused:
            if refused.code in NOT_CONFIGURED and refused.status == 404:
                return LifecycleDocument(None, request_id=refused.request_id)
            raise

    def change_bucket_lifecycle(self, bucket: str, edit: Edit) -> str:
        """Replace the rules that the bucket has now by what `edit` makes of them: the only way to write rules.

        PutBucketLifecycleConfiguration, or DeleteBucketLifecycle if nothing is left (OSS: PutBucketLifecycle,
        DeleteBucketLifecycle). Returns the request id, '' if there is nothing to write. A store that ignores the
        parameter would take the first for CreateBucket and the second for DeleteBucket, so neither is sent unless the
        profile says that the store keeps rules, and it has just proved to know them. Not retried after OutcomeUnknown:
        somebody else may have replaced the rules in between.
        """
        if self._provider.lifecycle not in WRITABLE:
            raise NotSent(Problem(Code.LIFECYCLE_NOT_WRITABLE), reason=Reason.BAD_ARGUMENT)
        found = self.get_bucket_lifecycle(bucket)
        new = edit(found)
        if new.root is not None:
            return self._put(bucket, new.root, new.size_rule)
        return self._delete(bucket) if found.root is not None else ""

    def _put(self, bucket: str, root: Element, size_rule: str) -> str:
        headers = {"Content-Type": "application/xml", **self._dialect.put_lifecycle}
        if size_rule:
            headers[SIZE_RULE] = size_rule
        payload = Payload(write_document(root))
        return self._write(Call("PutBucketLifecycleConfiguration", "PUT", bucket, "", QUERY, headers, payload))

    def _delete(self, bucket: str) -> str:
        return self._write(Call("DeleteBucketLifecycle", "DELETE", bucket, query=QUERY))

    def _write(self, call: Call) -> str:
        return self._read(call, lambda response: successes.without_body(response).request_id, repeatable=False)


def _document(response: Response) -> LifecycleDocument:
    root = read_document(response.body, ROOT)
    return LifecycleDocument(root, response.headers.get(SIZE_RULE, "").strip(), response.request_id)
