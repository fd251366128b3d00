"""Signatures compared with botocore's signer, and sent bytes compared with what was signed."""

from __future__ import annotations

import random
import socket
import string
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.objectstore.conftest import MakeClient
from tests.objectstore.fault_server import FaultServer, respond
from tests.objectstore.responses import stored
from uploads.objectstore.errors import NotSent
from uploads.objectstore.payload import Payload
from uploads.objectstore.signing import UNSIGNED_PAYLOAD, SigV4, signer_for
from uploads.objectstore.transport import Call, Transport
from uploads.objectstore.types import Addressing, Credentials, StoreConfig

NOW = datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEJr//////////wEaDE+token=="
ENDPOINTS = (
    "http://127.0.0.1:8080",
    "https://s3.eu-west-1.amazonaws.com",
    "http://store.example.org:80",
    "https://store.example.org:8443",
    "http://[::1]:9000",
)
HOSTILE_KEYS = (
    *(
        "a/../b",
        "a/./b",
        "../x",
        "../../x",
        "//x",
        "/x",
        "a//b",
        "a/",
        "/",
        "//",
        ".",
        "..",
        "a/..",
        "./a",
        "...",
        "a b",
    ),
    *("a+b", "a%b", "a%2Fb", "a%2fb", "%2e%2e/x", "a?b", "a#b", "a&b", "a;b", "a=b", "a?b=c&d", "?uploadId=x", "a:b"),
    *(
        "ü",
        "e\u0301",
        "日本/語",
        "😀",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\x01",
        "\x7f",
        "it's",
        '"q"',
        "<&>",
        "~",
        "*",
        "!",
        "a\\b",
    ),
    *(
        " ",
        " a ",
        "a  b",
        "k" * 1024,
        "é" * 512,
        "@",
        "a@b:c",
        "http://x/y",
        "\u202e",
        "\ufeff",
        "a,b",
        "$(x)",
        "[a]{b}|^`",
    ),
)


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: NOW)


def config(endpoint_url: str, addressing: Addressing = "path", token: str | None = None, **more: Any) -> StoreConfig:
    return StoreConfig(endpoint_url, "eu-west-1", Credentials("AKID", SECRET, token), addressing=addressing, **more)


def transport_for(store: StoreConfig) -> Transport:
    return Transport(store, SigV4(store.credentials, store.region, clock=lambda: NOW))


def boto_authorization(prepared: Any, url: str, token: str | None) -> str:
    """What botocore sends for the same method, URL and headers."""
    own = ("authorization", "x-amz-date", "x-amz-security-token", "content-length", "user-agent", "accept-encoding")
    headers = {name: text for name, text in prepared.headers.items() if name.lower() not in own}
    request = AWSRequest(method=prepared.method, url=url, headers=headers)
    signer = S3SigV4Auth(BotoCredentials("AKID", SECRET, token), "s3", "eu-west-1")
    # botocore would hash the missing body: the hash is a fixed input of both signatures.
    signer.payload = lambda _: headers["x-amz-content-sha256"]
    signer.add_auth(request)
    return str(request.headers["Authorization"])


def url_of(store: StoreConfig, call: Call) -> str:
    """The URL as botocore builds it from the same names."""
    parts = urlsplit(store.endpoint_url)
    netloc, path = parts.netloc, f"/{call.bucket}"
    if store.addressing == "virtual":
        netloc, path = f"{call.bucket}.{netloc}", ""
    path += "/" + quote(call.key, safe="/~") if call.key or not path else ""
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(text, safe='-_.~')}" for name, text in call.query.items())
    return f"{parts.scheme}://{netloc}{path}" + (f"?{query}" if query else "")


def check(store: StoreConfig, call: Call) -> None:
    prepared = transport_for(store).prepare(call)
    expected = url_of(store, call)
    assert urlsplit(str(prepared.url)).path == urlsplit(expected).path
    # The Host header omits a default port, by botocore's rule.
    assert prepared.headers["Authorization"] == boto_authorization(prepared, expected, store.credentials.session_token)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
HEADER_TEXTS = st.text(string.ascii_letters + string.digits + " '\"=;,()/+", max_size=20).map(str.strip)
CALLS = st.builds(
    Call,
    operation=st.just("Any"),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    bucket=st.sampled_from(["bucket", "my-bucket", "b.with.dots"]),
    key=TEXTS,
    query=st.dictionaries(
        st.sampled_from(["uploads", "uploadId", "prefix", "key-marker", "partNumber"]), TEXTS | st.just("")
    ),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "x-amz-meta-a", "x-amz-meta-b", "x-amz-storage-class"]),
        HEADER_TEXTS,
    ),
    payload=st.none() | st.binary(max_size=20).map(Payload) | st.just(Payload(b"abc", sha256=False)),
)


@settings(max_examples=500, deadline=None)
@given(CALLS, st.sampled_from(ENDPOINTS), st.sampled_from(["path", "virtual"]), st.sampled_from([None, TOKEN]))
def test_signature_equals_botocores(call: Call, endpoint: str, addressing: Addressing, token: str | None) -> None:
    if addressing == "virtual" and ("[" in endpoint or "." in call.bucket):
        addressing = "path"
    check(config(endpoint, addressing, token), call)


def test_signatures_of_thousands_of_keys_equal_botocores() -> None:
    chance = random.Random(20240229)
    alphabet = string.printable + "/../" * 4 + "é日😀\u0301%+ " * 3
    store = config(ENDPOINTS[0])
    transport = transport_for(store)
    for _ in range(3000):
        key = "".join(chance.choices(alphabet, k=chance.randint(1, 30)))
        call = Call("Any", "PUT", "bucket", key, {"uploadId": key, "partNumber": str(chance.randint(1, 10_000))})
        prepared = transport.prepare(call)
        assert prepared.headers["Authorization"] == boto_authorization(prepared, url_of(store, call), None), key


@pytest.mark.parametrize("addressing", ["path", "virtual"])
@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_signatures_of_hostile_keys_equal_botocores(key: str, addressing: Addressing) -> None:
    check(config(ENDPOINTS[3], addressing), Call("Any", "PUT", "bucket", key, {"uploadId": key}))


def test_content_md5_token_and_all_amz_headers_are_signed() -> None:
    store = config(ENDPOINTS[0], token=TOKEN)
    headers = {"x-amz-meta-a": "1", "x-amz-storage-class": "STANDARD", "Content-Type": "text/plain"}
    prepared = transport_for(store).prepare(Call("Any", "PUT", "bucket", "k", {}, headers, Payload(b"abc")))
    signed = str(prepared.headers["Authorization"]).split("SignedHeaders=")[1].split(",")[0].split(";")
    assert signed == [
        *("content-md5", "content-type", "host", "x-amz-content-sha256", "x-amz-date"),
        *("x-amz-meta-a", "x-amz-security-token", "x-amz-storage-class"),
    ]
    assert prepared.headers["x-amz-security-token"] == TOKEN


def test_payload_hash_and_body_are_unchanged() -> None:
    payload = Payload(b"abc", sha256=False)
    prepared = transport_for(config(ENDPOINTS[0])).prepare(Call("Any", "PUT", "bucket", "k", payload=payload))
    assert prepared.headers["x-amz-content-sha256"] == UNSIGNED_PAYLOAD
    assert id(prepared.body) == id(payload)


def test_signing_key_changes_with_the_day_in_all_threads() -> None:
    days = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]
    here = threading.local()
    store = config(ENDPOINTS[0])
    transport = Transport(store, SigV4(store.credentials, store.region, clock=lambda: getattr(here, "day", days[0])))
    expected = {day: _signed(transport, here, day) for day in days}
    wrong: list[str] = []

    def sign(day: datetime) -> None:
        for _ in range(300):
            if (found := _signed(transport, here, day)) != expected[day]:
                wrong.append(found)

    threads = [threading.Thread(target=sign, args=(days[number % 2],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(day.strftime("%Y%m%d") in found for day, found in expected.items())


def _signed(transport: Transport, here: threading.local, day: datetime) -> str:
    here.day = day
    return str(transport.prepare(Call("Any", "GET", "bucket", "k")).headers["Authorization"])


def test_unknown_signature_is_refused() -> None:
    with pytest.raises(NotSent, match=r"UnknownSignature signature=.* known=\('sigv4', 'oss4'\)"):
        signer_for(config(ENDPOINTS[0], signature="nonesuch"))


# Sent requests


@pytest.fixture
def _names_resolve_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def to_loopback(host: Any, *args: Any, **kwargs: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith("store.test") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", to_loopback)


@pytest.fixture
def boto_paths() -> Iterator[Any]:
    """The path that boto3 sends for a key, captured directly before the socket."""
    s3 = boto3.client(
        "s3",
        endpoint_url="http://store.test",
        region_name="eu-west-1",
        aws_access_key_id="AKID",
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}, parameter_validation=False),
    )
    paths: list[str] = []

    def capture(request: Any, **_: Any) -> AWSResponse:
        paths.append(urlsplit(request.url).path)
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda: []))

    s3.meta.events.register("before-send.s3.HeadObject", capture)

    def path_of(key: str) -> str:
        s3.head_object(Bucket="bucket", Key=key)
        return paths[-1]

    yield path_of
    s3.close()


@pytest.mark.usefixtures("_names_resolve_to_loopback")
@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_sent_path_is_the_signed_path(server: FaultServer, make_client: MakeClient, addressing: Addressing) -> None:
    server.script(*[stored(b"")] * len(HOSTILE_KEYS))
    client = make_client(f"http://store.test:{server.port}", addressing=addressing)
    for key in HOSTILE_KEYS:
        client.put_object("bucket", key, None)
    base = "/bucket/" if addressing == "path" else "/"
    host = "store.test" if addressing == "path" else "bucket.store.test"
    assert [each.target for each in server.received] == [base + quote(key, safe="/~") for key in HOSTILE_KEYS]
    assert {each.headers["host"] for each in server.received} == {f"{host}:{server.port}"}


def test_sent_path_equals_boto3s(server: FaultServer, make_client: MakeClient, boto_paths: Any) -> None:
    server.script(*[stored(b"")] * len(HOSTILE_KEYS))
    client = make_client(server.url)
    for key in HOSTILE_KEYS:
        client.put_object("bucket", key, None)
        assert server.received[-1].target == boto_paths(key), key


def test_sent_query_is_canonical(server: FaultServer, make_client: MakeClient) -> None:
    server.script(respond(200, b"<ListMultipartUploadsResult/>"))
    make_client(server.url).list_multipart_uploads(
        "bucket", prefix="a b+/é", delimiter="&", key_marker="%2F", upload_id_marker="~x=", max_uploads=7
    )
    assert server.received[0].target == (
        "/bucket?delimiter=%26&encoding-type=url&key-marker=%252F&max-uploads=7&prefix=a%20b%2B%2F%C3%A9"
        "&upload-id-marker=~x%3D&uploads="
    )


@pytest.mark.parametrize(
    "url",
    ["", "store", "ftp://x", "http://", "http://u:p@x", "http://x/?a=b", "http://x:99999", "http://ä"],
)
def test_invalid_endpoint_url_is_refused(make_client: MakeClient, url: str) -> None:
    with pytest.raises(NotSent, match=r"EndpointUrl(Invalid|Malformed) url="):
        make_client(url)


def test_endpoint_with_impossible_host_is_not_reached(make_client: MakeClient) -> None:
    with pytest.raises(NotSent):
        make_client("http://a..b").list_buckets()


def test_endpoint_may_have_a_path(server: FaultServer, make_client: MakeClient) -> None:
    server.script(stored(b""), respond(200, b"<ListAllMyBucketsResult/>"))
    client = make_client(server.url + "/s3/")
    client.put_object("bucket", "../k", None)
    client.list_buckets()
    assert [each.target for each in server.received] == ["/s3/bucket/../k", "/s3/"]


def test_bucket_with_dots_uses_path_addressing_over_tls() -> None:
    transport = transport_for(config("https://s3.example.org", "virtual"))
    assert transport.prepare(Call("Any", "GET", "a.b.c", "k")).url == "https://s3.example.org/a.b.c/k"
    transport = transport_for(config("http://s3.example.org", "virtual"))
    assert transport.prepare(Call("Any", "GET", "a.b.c", "k")).url == "http://a.b.c.s3.example.org/k"
