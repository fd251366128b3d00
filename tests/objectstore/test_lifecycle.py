"""Lifecycle rules survive a change of ours, on the test servers that have them."""

from __future__ import annotations

import pytest

from tests.domain.lifecycle.documents import OSS_RULES, S3_RULES, oss, s3
from tests.stores.servers import Server, server_of
from uploads.domain.lifecycle.comparing import Outcome, compare
from uploads.domain.lifecycle.editing import AbortTerms, remove_abort, set_abort
from uploads.domain.lifecycle.rules import OUR_ID, Configuration, configuration_of
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Refused, UnreadableResponse
from uploads.objectstore.types import Signature
from uploads.objectstore.xml_document import LifecycleDocument, read_document
from uploads.problems import Code


@pytest.fixture(params=["ceph", "oss"])
def keeper(request: pytest.FixtureRequest) -> Server:
    """A server that keeps rules."""
    return server_of(request)


@pytest.fixture(params=["swift", "versity"])
def refuser(request: pytest.FixtureRequest) -> Server:
    """A server without rules."""
    return server_of(request)


def read(client: ObjectStoreClient, bucket: str) -> Configuration:
    return configuration_of(client.get_bucket_lifecycle(bucket))


def test_rules_survive(keeper: Server) -> None:
    with keeper.connect() as client:
        survive(client, keeper.store.new_bucket(), "oss4" if keeper.name == "oss" else "sigv4")


def survive(client: ObjectStoreClient, bucket: str, signature: Signature) -> None:
    assert client.get_bucket_lifecycle(bucket).root is None
    cases = OSS_RULES if signature == "oss4" else S3_RULES
    for name, rules in cases.items():
        body = oss(rules) if signature == "oss4" else s3(rules)
        document = LifecycleDocument(read_document(body, "LifecycleConfiguration"))
        client.put_bucket_lifecycle(bucket, document)
        before = read(client, bucket)
        assert before.digest == configuration_of(document).digest, name
        for terms in (AbortTerms(days=7), AbortTerms(days=8, prefix="a/&<ä")):
            intended = set_abort(read(client, bucket), signature, terms)
            client.put_bucket_lifecycle(bucket, intended.document)
            assert compare(intended, read(client, bucket), OUR_ID).outcome is Outcome.DONE, name
        found = read(client, bucket)
        assert found.ours is not None
        client.put_bucket_lifecycle(bucket, remove_abort(found, found.ours).document)
        assert read(client, bucket).digest == before.digest, name
    client.delete_bucket_lifecycle(bucket)
    assert client.get_bucket_lifecycle(bucket).root is None


def test_stores_without_rules_say_so(refuser: Server) -> None:
    """Swift ignores the parameter, and lists the bucket. It would delete the bucket in the place of its rules."""
    with refuser.connect() as client, pytest.raises((Refused, UnreadableResponse)) as refused:
        client.get_bucket_lifecycle(refuser.store.new_bucket())
    if refuser.name == "swift":
        assert refused.value.problem is not None
        assert refused.value.problem.code == Code.RESPONSE_ELEMENT_UNEXPECTED
    else:
        assert isinstance(refused.value, Refused)
        assert refused.value.code in ("NotImplemented", "NoSuchLifecycleConfiguration")
