"""OSS V4 signatures: the vendor's client signs the same requests alike, and what is signed is what is sent.

The signer is the vendor's own; what it is given is ours. So there are two oracles: the vendor's whole client, given the
same operation by its names, and the documented algorithm, written down here and fed with nothing but the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_oss_v2.types import HttpClient, HttpRequest, OperationInput
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.objectstore.test_signing import HOSTILE_KEYS, TEXTS, TOKEN
from uploads.objectstore.payload import Payload
from uploads.objectstore.signing import Oss4
from uploads.objectstore.transport import Call, Transport
from uploads.objectstore.types import Addressing, Credentials, StoreConfig

NOW = datetime(2025, 2, 28, 23, 59, 59, tzinfo=UTC)
KEY_ID, SECRET, REGION = "LTAIexample", "secret/+=x", "cn-hangzhou"
ENDPOINT = "https://oss-cn-hangzhou.aliyuncs.com"


class Sent(Exception):
    """Stands for the network, which is not reached: what would have been sent."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.url)
        self.request = request


class Wire(HttpClient):  # type: ignore[misc]
    def send(self, request: HttpRequest, **_: Any) -> Any:
        raise Sent(request)

    def open(self) -> None: ...

    def close(self) -> None: ...


def config(addressing: Addressing = "virtual", token: str | None = None) -> StoreConfig:
    return StoreConfig(
        ENDPOINT, REGION, Credentials(KEY_ID, SECRET, token), "oss", addressing=addressing, signature="oss4"
    )


def prepare(store: StoreConfig, call: Call) -> Any:
    return Transport(store, Oss4(store.credentials, store.region, clock=lambda: NOW)).prepare(call)


def vendor_request(store: StoreConfig, call: Call) -> HttpRequest:
    """The request of the vendor's client for the same operation."""
    headers = {**call.headers, "x-oss-date": format_datetime(NOW, usegmt=True)}
    if call.payload is not None:
        headers["Content-MD5"] = call.payload.content_md5
    theirs = oss.Config(
        region=store.region,
        endpoint=store.endpoint_url,
        use_path_style=store.addressing == "path",
        retry_max_attempts=1,
        http_client=Wire(),
        credentials_provider=oss.credentials.StaticCredentialsProvider(KEY_ID, SECRET, store.credentials.session_token),
    )
    operation = OperationInput(
        op_name=call.operation,
        method=call.method,
        headers=headers,
        parameters=dict(call.query),
        bucket=call.bucket or None,
        key=call.key or None,
    )
    with pytest.raises(oss.exceptions.OperationError) as caught:
        oss.Client(theirs).invoke_operation(operation)
    sent = caught.value.unwrap()
    assert isinstance(sent, Sent), sent
    return sent.request


def documented(method: str, resource: str, query: str, headers: Mapping[str, str]) -> str:
    """OSS API reference, "Include a V4 signature in the header", of a request as it is on the wire."""
    lower = {name.lower(): text for name, text in headers.items()}
    signed = sorted(name for name in lower if name.startswith("x-oss-") or name in ("content-type", "content-md5"))
    pairs = sorted(pair.removesuffix("=") for pair in query.split("&")) if query else []
    canonical = "\n".join(
        [
            method,
            resource,
            "&".join(pairs),
            "".join(f"{name}:{lower[name].strip()}\n" for name in signed),
            "",
            "UNSIGNED-PAYLOAD",
        ]
    )
    stamp = NOW.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{REGION}/oss/aliyun_v4_request"
    to_sign = f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("aliyun_v4" + SECRET).encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    return f"OSS4-HMAC-SHA256 Credential={KEY_ID}/{scope},Signature={signature}"


def expected_signature(store: StoreConfig, call: Call, prepared: Any) -> str:
    """What the documented algorithm makes of the prepared request; the bucket is in the host or in the path."""
    parts = urlsplit(prepared.url)
    # urlsplit keeps the path as it is: what comes after the host, up to the query.
    path = str(prepared.url).partition(parts.netloc)[2].partition("?")[0]
    resource = f"/{call.bucket}{path}" if store.addressing == "virtual" and call.bucket else path
    return documented(prepared.method, resource, parts.query, prepared.headers)


def check(store: StoreConfig, call: Call) -> None:
    prepared = prepare(store, call)
    ours = prepared.headers["Authorization"]
    assert ours == vendor_request(store, call).headers["Authorization"]
    assert ours == expected_signature(store, call, prepared)


OSS_CALLS = st.builds(
    Call,
    operation=st.just("Any"),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    bucket=st.sampled_from(["bucket", "my-bucket"]),
    key=TEXTS,
    query=st.dictionaries(
        st.sampled_from(["uploads", "uploadId", "prefix", "key-marker", "partNumber", "max-uploads", "delimiter"]),
        TEXTS | st.just(""),
    ),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "x-oss-meta-a", "x-oss-storage-class", "x-oss-forbid-overwrite"]),
        st.text(string.ascii_letters + string.digits + "'\";=,()/+-", min_size=1, max_size=20),
    ),
    payload=st.none() | st.binary(max_size=20).map(lambda body: Payload(body, sha256=False)),
)


@settings(max_examples=700, deadline=None)
@given(OSS_CALLS, st.sampled_from(["path", "virtual"]), st.sampled_from([None, TOKEN]))
def test_signature_equals_vendors(call: Call, addressing: Addressing, token: str | None) -> None:
    check(config(addressing, token), call)


def test_signatures_of_thousands_of_keys_equal_vendors() -> None:
    chance = random.Random(20250228)
    alphabet = string.printable + "/../" * 4 + "é日😀\u0301%+ " * 3
    store = config()
    for _ in range(2500):
        key = "".join(chance.choices(alphabet, k=chance.randint(1, 30)))
        check(store, Call("Any", "PUT", "bucket", key, {"uploadId": key, "partNumber": str(chance.randint(1, 10_000))}))


@pytest.mark.parametrize("addressing", ["path", "virtual"])
@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_signatures_of_hostile_keys_equal_vendors(key: str, addressing: Addressing) -> None:
    check(config(addressing), Call("Any", "PUT", "bucket", key, {"uploadId": key}))


@pytest.mark.parametrize(
    "call",
    [
        Call("ListBuckets", "GET", query={"max-keys": "1000"}),
        Call("ListMultipartUploads", "GET", "bucket", query={"uploads": "", "prefix": "a b/", "key-marker": "ü+"}),
        Call("GetBucketInfo", "GET", "bucket", query={"bucketInfo": ""}),
    ],
    ids=lambda call: call.operation,
)
def test_signatures_without_key_equal_vendors(call: Call) -> None:
    check(config(), call)


def test_request_uses_names_of_oss() -> None:
    headers = {"x-oss-meta-a": "1", "x-oss-storage-class": "IA"}
    call = Call("PutObject", "PUT", "bucket", "a/../b", {}, headers, Payload(b"abc", sha256=False))
    prepared = prepare(config(token=TOKEN), call)
    assert prepared.url == "https://bucket.oss-cn-hangzhou.aliyuncs.com/a/../b"
    assert prepared.headers["x-oss-date"] == "20250228T235959Z"
    assert prepared.headers["x-oss-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert prepared.headers["x-oss-security-token"] == TOKEN
    assert prepared.headers["Content-MD5"] == "kAFQmDzST7DWlj99KOF/cg=="
    assert not [name for name in prepared.headers if name.lower().startswith("x-amz")]


def test_flag_is_sent_without_equals_sign() -> None:
    prepared = prepare(config(), Call("ListMultipartUploads", "GET", "bucket", query={"uploads": "", "prefix": "="}))
    assert str(prepared.url).partition("?")[2] == "prefix=%3D&uploads"
