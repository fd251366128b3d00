"""The OSS test server keeps names and keys exactly as they were sent. See test_signatures.py for signatures."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, socket
from urllib.parse import quote, quote_from_bytes

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oss.vendor import MIN_PART, Uploads, refusal
from tests.oss.wire import BucketClient, Request, refused, sign
from tests.stores import oss as oss_stores
from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account

PATIENCE = 30
"""Seconds until a wait fails. No result depends on it."""

HOSTILE = (
    "a/../b",
    "a/./b",
    "../up",
    "..",
    ".",
    "a//b",
    "a/",
    "a/\x01\n\r\t\x7f",
    " a b ",
    "+ % %2F %25 ? # & = ; , : @ $ ! * ' ( ) ~ [ ]",
    "a?uploads",
    "\u00fc\u65e5\u672c\U0001f600",
    "x" * 1023,
)


# --- Hosts ------------------------------------------------------------------------------------------------------------


def test_path_style_is_forbidden(client: BucketClient) -> None:
    """With or without a signature, and with the vendor's client."""
    endpoint = f"oss-{client.store.region}.localhost"
    for target in (f"/{client.bucket}/key", f"/{client.bucket}/?uploads"):
        request = Request("GET", target, endpoint)
        assert refused(client.send(request, {"Host": endpoint})) == (403, "SecondLevelDomainForbidden")
        assert refused(client.send(request, sign(request, client.owner))) == (403, "SecondLevelDomainForbidden")
    styled = Uploads(client.store, client.bucket, use_path_style=True)
    assert refusal(styled.listing).code == "SecondLevelDomainForbidden"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "oss-cn-hangzhou.example.org", "a.b.oss-cn-hangzhou.localhost"]
)
def test_unknown_hosts(client: BucketClient, host: str) -> None:
    response = client.send(client.request("GET", "/"), {"Host": host})
    assert refused(response) == (403, "NonStandardHostForbidden")


def test_bucket_in_another_region(oss_store: OssStore) -> None:
    """AccessDenied with the bucket's endpoint. GetBucketInfo works at every endpoint."""
    bucket = oss_store.new_bucket("cn-beijing")
    error = refusal(Uploads(oss_store, bucket).listing)
    assert (error.status_code, error.code) == (403, "AccessDenied")
    assert error.error_fileds["Endpoint"] == "oss-cn-beijing.aliyuncs.com"
    here = BucketClient(oss_store, bucket)
    assert here.request_signed("GET", "/?bucketInfo").text("Location") == "oss-cn-beijing"
    there = Request("GET", "/?uploads", f"{bucket}.oss-cn-beijing.localhost")
    assert here.send(there, sign(there, here.owner)).status == 200


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", HOSTILE, ids=repr)
def test_key_equals_the_path(oss_store: OssStore, key: str) -> None:
    """Object and upload have exactly that key, and no other key exists."""
    client = BucketClient(oss_store, oss_store.new_bucket())
    target = "/" + quote(key, safe="/")
    assert client.request_signed("PUT", target, b"content").status == 200
    upload_id = client.request_signed("POST", f"{target}?encoding-type=url&uploads").text("UploadId")
    assert client.request_signed("GET", target).body == b"content"
    objects = client.request_signed("GET", "/?encoding-type=url").document
    assert [each.findtext("Key") for each in objects.findall("Contents")] == [quote(key, safe="")]
    listed = client.request_signed("GET", "/?encoding-type=url&uploads").document
    assert [each.findtext("Key") for each in listed.findall("Upload")] == [quote(key, safe="")]
    assert client.request_signed("DELETE", f"{target}?uploadId={upload_id}").status == 204
    assert client.request_signed("DELETE", target).status == 204
    assert client.request_signed("GET", "/").document.find("Contents") is None


def test_line_breaks_in_keys_need_no_encoding(oss_store: OssStore) -> None:
    """XML can contain them as character references."""
    client = BucketClient(oss_store, oss_store.new_bucket())
    assert client.request_signed("POST", "/a%0D%0Ab%09c%0D?uploads").text("Key") == "a\r\nb\tc\r"
    assert client.request_signed("GET", "/?uploads").text("Key") == "a\r\nb\tc\r"


def test_equivalent_encodings_of_a_key(client: BucketClient) -> None:
    """Percent-encoding, in upper or lower case, does not change the key."""
    client.request_signed("PUT", "/d%C3%AEr/a~b", b"once")
    for target in ("/d%c3%aer/a~b", "/%64%C3%AEr%2Fa%7Eb"):
        assert client.request_signed("GET", target).body == b"once"


@pytest.mark.parametrize(
    "target", ["//x", "/%2Fx", "/%5Cx", "/\\x", "/" + "x" * 1024, "/" + "%C3%BC" * 512, "/%FF", "/a%C0%AFb"]
)
def test_invalid_keys(client: BucketClient, target: str) -> None:
    """A leading slash or backslash, over 1,023 bytes, or invalid UTF-8: InvalidObjectName for every operation."""
    for method, query in (("PUT", ""), ("GET", ""), ("POST", "?uploads"), ("GET", "?uploadId=1")):
        # Invalid UTF-8 cannot be signed, so it is refused before the signature is checked.
        response = client.request_signed(method, target + query)
        assert refused(response) == (400, "InvalidObjectName"), (method, query)


@settings(max_examples=60, deadline=None)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
        lambda key: key[0] not in "/\\" and len(key.encode()) <= 1023
    ),
    value=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
    prefix=st.binary(max_size=10),
)
def test_any_values_are_stored_unchanged(client: BucketClient, key: str, value: str, prefix: bytes) -> None:
    """Generated keys, metadata and query values are signed by the vendor, verified, stored and returned unchanged."""
    target = "/" + quote(key, safe="/")
    response = client.request_signed(
        "PUT", f"{target}?x={quote_from_bytes(prefix, safe='')}", key.encode(), x_oss_meta_v=value
    )
    assert response.status == 200
    head = client.request_signed("HEAD", target)
    assert (head.headers["content-length"], head.headers["x-oss-meta-v"]) == (str(len(key.encode())), value)


# --- Broken connections and concurrency -------------------------------------------------------------------------------


@contextmanager
def half_sent(client: BucketClient, target: str, body: bytes) -> Iterator[socket]:
    """The connection of a PUT request while the server waits for the second half of the body."""
    request = client.request("PUT", target, body, Content_Length=str(len(body)))
    before = set((client.store.folder / "bytes").iterdir())
    with create_connection(("127.0.0.1", client.store.port), timeout=PATIENCE) as connection:
        connection.sendall(_head(request, sign(request, client.owner)) + body[: len(body) // 2])
        _wait(lambda: any(path.stat().st_size for path in _files(client) - before))
        yield connection


def _files(client: BucketClient) -> set[Path]:
    return set((client.store.folder / "bytes").iterdir())


def _head(request: Request, headers: Mapping[str, str]) -> bytes:
    header_lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"{request.method} {request.target} HTTP/1.1\r\n{header_lines}\r\n".encode()


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "The condition was not met in time."
        time.sleep(0.01)


def test_truncated_part_is_not_stored(client: BucketClient) -> None:
    upload_id = client.request_signed("POST", "/truncated?uploads").text("UploadId")
    client.request_signed("PUT", f"/truncated?partNumber=1&uploadId={upload_id}", b"whole")
    before = _files(client)
    with half_sent(client, f"/truncated?partNumber=1&uploadId={upload_id}", b"x" * 1_000_000):
        assert _files(client) != before
    _wait(lambda: _files(client) == before)
    parts = client.request_signed("GET", f"/truncated?uploadId={upload_id}").document.findall("Part")
    assert [part.findtext("Size") for part in parts] == ["5"]


def test_abort_does_not_affect_parts_being_sent(client: BucketClient) -> None:
    """Such a part arrives afterwards, and the upload exists again until it is aborted once more."""
    upload_id = client.request_signed("POST", "/late?uploads").text("UploadId")
    client.request_signed("PUT", f"/late?partNumber=1&uploadId={upload_id}", b"early")
    late = b"x" * 1_000_000
    with half_sent(client, f"/late?partNumber=2&uploadId={upload_id}", late) as connection:
        assert client.request_signed("DELETE", f"/late?uploadId={upload_id}").status == 204
        refused_part = client.request_signed("PUT", f"/late?partNumber=3&uploadId={upload_id}", b"new")
        assert refused(refused_part) == (404, "NoSuchUpload")
        connection.sendall(late[len(late) // 2 :])
        assert connection.recv(1024).startswith(b"HTTP/1.1 200 OK\r\n")
    parts = client.request_signed("GET", f"/late?uploadId={upload_id}").document.findall("Part")
    assert [part.findtext("PartNumber") for part in parts] == ["2"]
    complete = (
        b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>E</ETag></Part></CompleteMultipartUpload>"
    )
    assert refused(client.request_signed("POST", f"/late?uploadId={upload_id}", complete)) == (404, "NoSuchUpload")
    assert client.request_signed("DELETE", f"/late?uploadId={upload_id}").status == 204
    assert refused(client.request_signed("DELETE", f"/late?uploadId={upload_id}")) == (404, "NoSuchUpload")


def test_complete_continues_after_client_disconnects(client: BucketClient) -> None:
    upload_id = client.request_signed("POST", "/left?uploads").text("UploadId")
    etags = [
        client.request_signed("PUT", f"/left?partNumber={number}&uploadId={upload_id}", b"x" * MIN_PART).headers["etag"]
        for number in range(1, 20)
    ]
    parts_xml = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts_xml}</CompleteMultipartUpload>".encode()
    request = client.request("POST", f"/left?uploadId={upload_id}", body, Content_Length=str(len(body)))
    with create_connection(("127.0.0.1", client.store.port), timeout=PATIENCE) as connection:
        connection.sendall(_head(request, sign(request, client.owner)) + body)
    _wait(lambda: client.request_signed("HEAD", "/left").status == 200)
    assert client.request_signed("HEAD", "/left").headers["content-length"] == str(19 * MIN_PART)


def test_refused_body_does_not_break_the_connection(client: BucketClient) -> None:
    """The response arrives although the body was refused, and the next request on the connection is read correctly."""
    body = b"x" * 3_000_000
    request = client.request("PUT", "/refused?partNumber=1&uploadId=none", body, Content_Length=str(len(body)))
    again = client.request("HEAD", "/refused")
    with create_connection(("127.0.0.1", client.store.port), timeout=PATIENCE) as connection:
        connection.sendall(_head(request, sign(request, client.owner)) + body + _head(again, sign(again, client.owner)))
        received = b""
        while received.count(b"HTTP/1.1") < 2 or not received.endswith(b"\r\n\r\n"):
            block = connection.recv(65536)
            assert block, received
            received += block
    assert b"<Code>NoSuchUpload</Code>" in received
    assert b"x-oss-err: " in received


# --- Processes --------------------------------------------------------------------------------------------------------


def test_other_process_resolves_the_host_names(client: BucketClient) -> None:
    """With the store's environment, even if the machine's resolver does not know `*.localhost`."""
    program = "import requests, sys; print(requests.get(sys.argv[1], timeout=30).text)"
    url = f"http://{client.host}:{client.store.port}/key"
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        env={**client.store.environment, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"<HostId>{client.host}</HostId>" in done.stdout


def test_two_stores_at_the_same_time(oss_store: OssStore, tmp_path: Path) -> None:
    """Each has its own buckets and accounts, and stopping one does not affect the other."""
    with oss_stores.running(tmp_path) as other:
        bucket = other.new_bucket()
        assert refusal(Uploads(oss_store, "only-there").listing).code == "NoSuchBucket"
        owner = Account(oss_store.access_key, oss_store.secret_key)
        assert refusal(Uploads(other, bucket, owner).listing).code == "InvalidAccessKeyId"
        assert psutil.pid_exists(other.pid)
    assert not psutil.pid_exists(other.pid)
    assert Uploads(oss_store, oss_store.new_bucket()).listing().status_code == 200
