"""Lifecycle rules survive a change of ours, on the test servers that have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pytest

from tests.domain.lifecycle.documents import OSS_RULES, S3_ONLY, S3_RULES, oss, s3
from tests.stores.oss import OssStore
from tests.stores.servers import Server, server_of
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import PAGE, CannedResponse, FaultProxy
from uploads.domain.lifecycle.comparing import Outcome, compare
from uploads.domain.lifecycle.editing import AbortTerms, remove_abort, set_abort
from uploads.domain.lifecycle.rules import OUR_ID, Configuration, configuration_of
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, Refused, UnreadableResponse
from uploads.objectstore.transport import Call
from uploads.objectstore.types import Credentials, Signature, StoreConfig
from uploads.objectstore.xml_document import LifecycleDocument, read_document
from uploads.problems import Code


@pytest.fixture(params=["ceph", "oss", "seaweedfs"])
def keeper(request: pytest.FixtureRequest) -> Server:
    """A server that keeps rules."""
    return server_of(request)


@pytest.fixture(params=["swift", "versity"])
def refuser(request: pytest.FixtureRequest) -> Server:
    """A server without rules."""
    return server_of(request)


def read(client: ObjectStoreClient, bucket: str) -> Configuration:
    return configuration_of(client.get_bucket_lifecycle(bucket))


def put(client: ObjectStoreClient, bucket: str, document: LifecycleDocument) -> None:
    client.change_bucket_lifecycle(bucket, lambda _found: document)


def digests(configuration: Configuration) -> list[str]:
    return sorted(rule.digest for rule in configuration.rules)


def test_rules_survive(keeper: Server) -> None:
    """Compared with what the store returns. SeaweedFS keeps rules that Ceph refuses or changes."""
    kept = {name: rules for name, rules in S3_ONLY.items() if name != "transitions"}
    more = kept if keeper.name == "seaweedfs" else {}
    with keeper.connect() as client:
        survive(client, keeper.store.new_bucket(), "oss4" if keeper.name == "oss" else "sigv4", more)


def survive(client: ObjectStoreClient, bucket: str, signature: Signature, more: Mapping[str, str]) -> None:
    assert client.get_bucket_lifecycle(bucket).root is None
    cases = {**S3_RULES, **more} if signature == "sigv4" else OSS_RULES
    for name, rules in cases.items():
        body = oss(rules) if signature == "oss4" else s3(rules)
        document = LifecycleDocument(read_document(body, "LifecycleConfiguration"))
        put(client, bucket, document)
        before = read(client, bucket)
        assert digests(before) == digests(configuration_of(document)), name
        for terms in (AbortTerms(days=7), AbortTerms(days=8, prefix="a/&<ä")):
            intended = set_abort(read(client, bucket), signature, terms)
            put(client, bucket, intended.document)
            assert compare(intended, read(client, bucket), OUR_ID).outcome is Outcome.DONE, name
        found = read(client, bucket)
        assert found.ours is not None
        put(client, bucket, remove_abort(found, found.ours).document)
        assert read(client, bucket).digest == before.digest, name
    put(client, bucket, LifecycleDocument(None))
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


EDITS: Mapping[str, Callable[[LifecycleDocument], LifecycleDocument]] = {
    "remove the last rule": lambda _found: LifecycleDocument(None),
    "set a rule": lambda _found: LifecycleDocument(read_document(s3(S3_RULES["expiration"]), "LifecycleConfiguration")),
}


@pytest.mark.parametrize("provider", ["generic", "swift", "gcs"])
@pytest.mark.parametrize("edit", EDITS)
def test_a_store_that_ignores_the_parameter_keeps_its_bucket(swift_store: SwiftStore, provider: str, edit: str) -> None:
    """`generic`: only the store's answer shows that it has no rules. By the other profiles, it is not even asked."""
    bucket = swift_store.new_bucket()
    with FaultProxy(swift_store.endpoint_url) as proxy:
        credentials = Credentials(swift_store.access_key, swift_store.secret_key)
        config = StoreConfig(proxy.url, swift_store.region, credentials, provider=provider)
        with ObjectStoreClient(config) as client:
            with pytest.raises(UnreadableResponse if provider == "generic" else NotSent):
                client.change_bucket_lifecycle(bucket, EDITS[edit])
            assert bucket in [each.name for each in client.list_buckets()]
        assert set(proxy.requests) == {"ListBuckets"} | (
            {"GetBucketLifecycleConfiguration"} if provider == "generic" else set()
        )


def test_what_the_guard_is_for(swift_store: SwiftStore) -> None:
    """The request itself deletes the bucket. If this fails, Swift has rules now."""
    bucket = swift_store.new_bucket()
    server = Server("swift", swift_store, lambda _quirk: None)
    server.send(Call("DeleteBucketLifecycle", "DELETE", bucket, query={"lifecycle": ""}))
    with server.connect() as client:
        assert bucket not in [each.name for each in client.list_buckets()]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        PAGE,
        b"<ListBucketResult/>",
        b"<LifecycleConfiguration><Rule>",
        b"<Error><Code>NoSuchLifecycle</Code></Error>",
    ],
)
def test_nothing_is_written_unless_the_store_knows_rules(oss_store: OssStore, body: bytes) -> None:
    """Also not if a proxy responds in its place, or with an error in a success."""
    server = Server("oss", oss_store, lambda _quirk: None)
    bucket = oss_store.new_bucket()
    with FaultProxy(oss_store.endpoint_url) as proxy, server.connect(endpoint_url=behind(proxy, oss_store)) as client:
        proxy.answer("GetBucketLifecycleConfiguration", CannedResponse(200, page=body))
        for edit in EDITS.values():
            with pytest.raises(ObjectStoreError):
                client.change_bucket_lifecycle(bucket, edit)
        assert set(proxy.requests) == {"GetBucketLifecycleConfiguration"}


def behind(proxy: FaultProxy, store: OssStore) -> str:
    return f"http://{urlsplit(store.endpoint_url).hostname}:{proxy.port}"
