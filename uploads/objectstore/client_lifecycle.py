"""LifecycleClient: the lifecycle configuration of a bucket, which is read and replaced as a whole."""

from __future__ import annotations

from uploads.objectstore import successes
from uploads.objectstore.client_base import ClientBase
from uploads.objectstore.errors import Refused
from uploads.objectstore.keys import bad_argument, check_bucket
from uploads.objectstore.payload import Payload
from uploads.objectstore.refusals import Response
from uploads.objectstore.transport import Call
from uploads.objectstore.xml_document import LifecycleDocument, read_document, write_document
from uploads.problems import Code

ROOT = "LifecycleConfiguration"

NOT_CONFIGURED = frozenset({"NoSuchLifecycleConfiguration", "NoSuchLifecycle"})
"""The codes of a bucket without rules: of S3 ("GetBucketLifecycleConfiguration") and of OSS ("GetBucketLifecycle")."""

SIZE_RULE = "x-amz-transition-default-minimum-object-size"
"""A part of the configuration that S3 keeps in a header. A request without it sets it to its default."""

QUERY = {"lifecycle": ""}


class LifecycleClient(ClientBase):
    """The operations on lifecycle rules."""

    def get_bucket_lifecycle(self, bucket: str) -> LifecycleDocument:
        """GetBucketLifecycleConfiguration (OSS: GetBucketLifecycle). Without rules, the document has no root."""
        check_bucket(bucket)
        call = Call("GetBucketLifecycleConfiguration", "GET", bucket, query=QUERY)
        try:
            return self._read(call, _document)
        except Refused as refused:
            if refused.code in NOT_CONFIGURED:
                return LifecycleDocument(None, request_id=refused.request_id)
            raise

    def put_bucket_lifecycle(self, bucket: str, document: LifecycleDocument) -> str:
        """PutBucketLifecycleConfiguration (OSS: PutBucketLifecycle): replaces all rules. Returns the request id.

        Not retried after OutcomeUnknown: somebody else may have replaced the rules in between. Read them first.
        """
        check_bucket(bucket)
        if document.root is None:
            raise bad_argument(Code.LIFECYCLE_WITHOUT_RULES)
        headers = {"Content-Type": "application/xml", **self._dialect.put_lifecycle}
        if document.size_rule:
            headers[SIZE_RULE] = document.size_rule
        payload = Payload(write_document(document.root))
        call = Call("PutBucketLifecycleConfiguration", "PUT", bucket, "", QUERY, headers, payload)
        return self._read(call, lambda response: successes.without_body(response).request_id, repeatable=False)

    def delete_bucket_lifecycle(self, bucket: str) -> str:
        """DeleteBucketLifecycle: removes all rules. Returns the request id. Not retried after OutcomeUnknown."""
        check_bucket(bucket)
        call = Call("DeleteBucketLifecycle", "DELETE", bucket, query=QUERY)
        return self._read(call, lambda response: successes.without_body(response).request_id, repeatable=False)


def _document(response: Response) -> LifecycleDocument:
    root = read_document(response.body, ROOT)
    return LifecycleDocument(root, response.headers.get(SIZE_RULE, "").strip(), response.request_id)
