"""Access on every server: secrets, access keys, tokens, regions and clocks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.objectstore.on_stores.helpers import listed, objects
from tests.stores.servers import Server
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.transport import Call
from uploads.problems import Code, Problem


def refusal(server: Server, bucket: str, **changes: str) -> Refused:
    """The error of a listing with other credentials or another region."""
    with server.connect(**changes) as stranger, pytest.raises(Refused) as caught:
        stranger.list_multipart_uploads(bucket)
    assert caught.value.request_id
    assert not caught.value.retryable
    return caught.value


def test_wrong_secret_is_a_credentials_error(server: Server, bucket: str) -> None:
    """A wrong secret key is a credentials error"""
    refused = refusal(server, bucket, secret_key="wrong")
    assert (refused.reason, refused.code) == (Reason.CREDENTIALS, "SignatureDoesNotMatch")


def test_unknown_access_key_is_a_credentials_error(server: Server, bucket: str) -> None:
    """An unknown access key is a credentials error"""
    refused = refusal(server, bucket, access_key="unknown:key")
    assert refused.reason is Reason.CREDENTIALS
    if server.does("reports an unknown access key as a wrong signature"):
        assert refused.code == "SignatureDoesNotMatch"
    elif server.does("has its own code for an unknown access key"):
        assert (refused.code, refused.status) == ("XAdminUserNotFound", 404)
    else:
        assert refused.code == "InvalidAccessKeyId"


def test_unknown_token_is_a_credentials_error(server: Server, bucket: str) -> None:
    """An unknown session token is a credentials error"""
    if server.does("ignores unknown session tokens"):
        with server.connect(session_token="nonsense") as stranger:
            assert listed(stranger, bucket) == []
    elif server.does("does not know session tokens"):
        refused = refusal(server, bucket, session_token="nonsense")
        assert (refused.reason, refused.code) == (Reason.REFUSED, "NotImplemented")
    else:
        assert refusal(server, bucket, session_token="nonsense").reason is Reason.CREDENTIALS


def test_wrong_region_is_a_region_error(server: Server, bucket: str) -> None:
    """A request signed for a wrong region"""
    if server.does("accepts requests for any region"):
        with server.connect(region="eu-west-1") as stranger:
            assert listed(stranger, bucket) == []
        return
    refused = refusal(server, bucket, region="eu-west-1")
    assert refused.reason is Reason.WRONG_REGION
    if server.does("does not report the correct region"):
        assert refused.region == ""
        assert Code.BUCKET_REGION not in [each.code for each in refused.details]
    else:
        assert refused.region == server.store.region
        assert Problem(Code.BUCKET_REGION, region=server.store.region) in refused.details


@pytest.mark.parametrize("minutes", [30, -30], ids=["ahead", "behind"])
def test_wrong_clock_is_a_clock_error(server: Server, bucket: str, minutes: int) -> None:
    """A clock that is half an hour ahead, or behind"""
    with pytest.raises(Refused) as caught:
        call = Call("ListMultipartUploads", "GET", bucket, query={"uploads": ""})
        server.send(call, clock=timedelta(minutes=minutes))
    assert (caught.value.reason, caught.value.code) == (Reason.CLOCK_SKEW, "RequestTimeTooSkewed")


def test_clock_offset_is_measured(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """Each response contains the time of the store"""
    client.head_bucket(bucket)
    assert abs(client.clock_offset) < timedelta(minutes=1)


def test_writing_is_checked_before_bytes_are_sent(server: Server, client: ObjectStoreClient, bucket: str) -> None:
    """Whether a key may be written, without writing it"""
    client.check_writing(bucket, "a/b")
    assert listed(client, bucket) == []
    assert objects(server, bucket) == []
    with pytest.raises(Refused) as caught:
        client.check_writing(f"{bucket}-missing", "a/b")
    assert (caught.value.reason, caught.value.code) == (Reason.NO_SUCH_BUCKET, "NoSuchBucket")
    with server.connect(secret_key="wrong") as stranger, pytest.raises(Refused) as caught:
        stranger.check_writing(bucket, "a/b")
    assert (caught.value.reason, caught.value.operation) == (Reason.CREDENTIALS, "UploadPart")
    assert caught.value.request_id
