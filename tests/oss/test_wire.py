"""The OSS test server believes nobody and changes nothing: signatures, names and keys exactly as they come."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection, socket
from urllib.parse import quote, quote_from_bytes

import alibabacloud_oss_v2 as oss
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oss.vendor import MIN_PART, Uploads, refusal
from tests.oss.wire import Answer, Request, send, sign
from tests.stores import oss as oss_stores
from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account

PATIENCE = 30
"""Seconds until a wait is given up; nothing is measured by it."""

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


@dataclasses.dataclass(frozen=True)
class Place:
    """A bucket, and its owner's way to speak to it."""

    store: OssStore
    bucket: str

    @property
    def host(self) -> str:
        return f"{self.bucket}.oss-{self.store.region}.localhost"

    @property
    def owner(self) -> Account:
        return Account(self.store.access_key, self.store.secret_key)

    def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> Request:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Request(method, target, self.host, named, body)

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        request = self.request(method, target, body, **headers)
        return self.send(request, sign(request, self.owner))

    def send(self, request: Request, headers: Mapping[str, str]) -> Answer:
        return send(self.store.port, request, headers)


@pytest.fixture(scope="module")
def place(oss_store: OssStore) -> Place:
    return Place(oss_store, oss_store.new_bucket())


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.text("Code")


# --- Signatures -------------------------------------------------------------------------------------------------------


def test_what_is_signed_cannot_be_changed(oss_store: OssStore, place: Place) -> None:
    """Whatever is different from what was signed: SignatureDoesNotMatch, and nothing is done."""
    request = place.request("PUT", "/signed?x-oss-ac-1=1", b"body", Content_Type="text/plain", x_oss_meta_a="1")
    headers = sign(request, place.owner)
    other = oss_store.new_bucket()
    changed: list[tuple[Request, dict[str, str]]] = [
        (dataclasses.replace(request, target="/Signed?x-oss-ac-1=1"), headers),
        (dataclasses.replace(request, target="/signed?x-oss-ac-1=2"), headers),
        (dataclasses.replace(request, target="/signed?x-oss-ac-1=1&b"), headers),
        (dataclasses.replace(request, target="/signed"), headers),
        (dataclasses.replace(request, method="DELETE"), headers),
        (request, {**headers, "Content-Type": "text/html"}),
        (request, {**headers, "x-oss-meta-a": "2"}),
        (request, {**headers, "x-oss-meta-b": "1"}),
        (request, {**headers, "x-oss-forbid-overwrite": "true"}),
        (request, {**headers, "Content-MD5": "hBotaJrKa9FhFEdFPCLG/A=="}),
        (request, {**headers, "Host": place.host.replace(place.bucket, other)}),
        (request, {**headers, "x-oss-meta-a": "\xe9"}),
    ]
    for sent, with_headers in changed:
        answer = place.send(sent, with_headers)
        assert refused(answer) == (403, "SignatureDoesNotMatch"), (sent, with_headers)
        assert answer.text("StringToSign").startswith("OSS4-HMAC-SHA256\n") or "\xe9" in str(with_headers)
    assert place.ask("HEAD", "/signed").status == 404
    assert place.send(request, {**headers, "User-Agent": "anything"}).status == 200


def test_a_wrong_secret(place: Place) -> None:
    request = place.request("GET", "/?uploads")
    answer = place.send(request, sign(request, dataclasses.replace(place.owner, secret_key="wrong")))
    assert refused(answer) == (403, "SignatureDoesNotMatch")
    assert answer.text("OSSAccessKeyId") == place.owner.access_key
    assert answer.headers["x-oss-ec"] == answer.text("EC") == "0002-00000201"
    assert place.owner.secret_key not in answer.body.decode()


def test_additional_headers(place: Place) -> None:
    """They are signed where the client says so."""
    request = place.request("PUT", "/additional", b"four", User_Agent="one")
    headers = sign(request, place.owner, additional=["host", "user-agent"])
    assert ",AdditionalHeaders=host;user-agent,Signature=" in headers["Authorization"]
    assert place.send(request, headers).status == 200
    assert refused(place.send(request, {**headers, "User-Agent": "two"})) == (403, "SignatureDoesNotMatch")
    without = headers["Authorization"].replace("AdditionalHeaders=host;user-agent,", "")
    assert refused(place.send(request, {**headers, "Authorization": without})) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Authorization": None}, (403, "AccessDenied")),
        ({"Authorization": "OSS key:c2lnbmF0dXJl"}, (400, "InvalidArgument")),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a/20120101/r/s3/aws4_request"}, (400, "InvalidArgument")),
        ({"Authorization": "OSS4-HMAC-SHA256 Signature=18"}, (400, "InvalidArgument")),
        ({"x-oss-content-sha256": None}, (400, "InvalidArgument")),
        (
            {"x-oss-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
            (400, "InvalidArgument"),
        ),
        ({"x-oss-date": None}, (403, "AccessDenied")),
        ({"x-oss-date": "yesterday"}, (403, "AccessDenied")),
    ],
)
def test_headers_without_which_nobody_is_known(
    place: Place, change: dict[str, str | None], expected: tuple[int, str]
) -> None:
    request = place.request("GET", "/?uploads")
    headers = {name: text for name, text in {**sign(request, place.owner), **change}.items() if text is not None}
    assert refused(place.send(request, headers)) == expected


@pytest.mark.parametrize(("part", "by"), [("/oss/", "/s3/"), ("/aliyun_v4_request", "/aws4_request"), ("/20", "/19")])
def test_another_scope(place: Place, part: str, by: str) -> None:
    request = place.request("GET", "/?uploads")
    headers = sign(request, place.owner)
    assert part in headers["Authorization"]
    headers["Authorization"] = headers["Authorization"].replace(part, by, 1)
    assert refused(place.send(request, headers)) == (400, "InvalidArgument")


def test_the_region_of_the_signature_is_the_endpoints(place: Place) -> None:
    wrong = refusal(Uploads(place.store, place.bucket, region="cn-beijing").listing)
    assert (wrong.status_code, wrong.code, wrong.ec) == (400, "InvalidArgument", "0002-00000226")


@pytest.mark.parametrize(
    ("minutes", "accepted"), [(14, True), (-14, True), (16, False), (-16, False), (60 * 24, False)]
)
def test_clocks_may_differ_by_a_quarter_of_an_hour(place: Place, minutes: int, accepted: bool) -> None:
    request = place.request("GET", "/?uploads")
    signed_at = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = place.send(request, sign(request, place.owner, signed_at=signed_at))
    if accepted:
        assert answer.status == 200
        return
    assert refused(answer) == (403, "RequestTimeTooSkewed")
    assert answer.text("MaxAllowedSkewMilliseconds") == "900000"
    assert answer.text("RequestTime") == f"{signed_at:%Y-%m-%dT%H:%M:%S}.000Z"
    assert answer.text("ServerTime") < f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}.000Z"


def test_unknown_access_keys(place: Place) -> None:
    for name in ("LTAInobody", "nobody/../x"):
        request = place.request("GET", "/?uploads")
        answer = place.send(request, sign(request, Account(name, "secret")))
        assert answer.text("Code") in ("InvalidAccessKeyId", "InvalidArgument")
    assert (
        refusal(lambda: Uploads(place.store, place.bucket, Account("LTAInobody", "x")).listing()).ec == "0002-00000902"
    )


def test_temporary_credentials(oss_store: OssStore, place: Place) -> None:
    """An STS key goes with its own token, and only until that has expired."""
    valid, other = (oss_store.new_account(temporary=True) for _ in range(2))
    expired = oss_store.new_account(temporary=True, expired=True)
    assert valid.access_key.startswith("STS.")
    assert Uploads(oss_store, place.bucket, valid).listing().status_code == 200
    for account, code in (
        (dataclasses.replace(valid, token=""), "InvalidAccessKeyId"),
        (dataclasses.replace(valid, token="made up"), "InvalidSecurityToken"),
        (dataclasses.replace(valid, token=other.token), "AccessKeyIdAndSecurityTokenNotMatch"),
        (dataclasses.replace(place.owner, token=valid.token), "InvalidAccessKeyId"),
        (expired, "SecurityTokenExpired"),
    ):
        error = refusal(Uploads(oss_store, place.bucket, account).listing)
        assert (error.status_code, error.code) == (403, code)


CALLS: dict[str, Callable[[Uploads], object]] = {
    "oss:ListBuckets": lambda uploads: uploads.client.list_buckets(oss.ListBucketsRequest()),
    "oss:ListMultipartUploads": lambda uploads: uploads.listing(),
    "oss:ListParts": lambda uploads: uploads.parts("key", "id"),
    "oss:AbortMultipartUpload": lambda uploads: uploads.abort("key", "id"),
    "oss:PutObject": lambda uploads: uploads.initiate("key"),
    "oss:GetObject": lambda uploads: uploads.head("there"),
}


@pytest.mark.parametrize("action", CALLS)
def test_users_with_fewer_rights(oss_store: OssStore, place: Place, action: str) -> None:
    """AccessDenied for what is denied, and only for that."""
    assert place.ask("PUT", "/there").status == 200
    user = Uploads(oss_store, place.bucket, oss_store.new_account(denied=[action]))
    for name, call in CALLS.items():
        if name == action:
            error = refusal(lambda call=call: call(user))  # type: ignore[misc]
            assert (error.status_code, error.code) == (403, "AccessDenied")
        elif name in ("oss:ListParts", "oss:AbortMultipartUpload"):
            assert refusal(lambda call=call: call(user)).code == "NoSuchUpload"  # type: ignore[misc]
        else:
            call(user)


# --- Hosts ------------------------------------------------------------------------------------------------------------


def test_path_style_is_forbidden(place: Place) -> None:
    """Signed or not; the vendor's client set to it says the same."""
    endpoint = f"oss-{place.store.region}.localhost"
    for target in (f"/{place.bucket}/key", f"/{place.bucket}/?uploads"):
        request = Request("GET", target, endpoint)
        assert refused(place.send(request, {"Host": endpoint})) == (403, "SecondLevelDomainForbidden")
        assert refused(place.send(request, sign(request, place.owner))) == (403, "SecondLevelDomainForbidden")
    styled = Uploads(place.store, place.bucket, use_path_style=True)
    assert refusal(styled.listing).code == "SecondLevelDomainForbidden"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "oss-cn-hangzhou.example.org", "a.b.oss-cn-hangzhou.localhost"]
)
def test_hosts_that_are_not_ours(place: Place, host: str) -> None:
    answer = place.send(place.request("GET", "/"), {"Host": host})
    assert refused(answer) == (403, "NonStandardHostForbidden")


def test_a_bucket_of_another_region(oss_store: OssStore) -> None:
    """AccessDenied, and where it is; GetBucketInfo is answered everywhere."""
    bucket = oss_store.new_bucket("cn-beijing")
    error = refusal(Uploads(oss_store, bucket).listing)
    assert (error.status_code, error.code) == (403, "AccessDenied")
    assert error.error_fileds["Endpoint"] == "oss-cn-beijing.aliyuncs.com"
    here = Place(oss_store, bucket)
    assert here.ask("GET", "/?bucketInfo").text("Location") == "oss-cn-beijing"
    there = Request("GET", "/?uploads", f"{bucket}.oss-cn-beijing.localhost")
    assert here.send(there, sign(there, here.owner)).status == 200


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", HOSTILE, ids=repr)
def test_keys_are_what_the_path_says(oss_store: OssStore, key: str) -> None:
    """Object and upload have exactly that key, and no other is there."""
    place = Place(oss_store, oss_store.new_bucket())
    target = "/" + quote(key, safe="/")
    assert place.ask("PUT", target, b"content").status == 200
    upload_id = place.ask("POST", f"{target}?encoding-type=url&uploads").text("UploadId")
    assert place.ask("GET", target).body == b"content"
    objects = place.ask("GET", "/?encoding-type=url").document
    assert [each.findtext("Key") for each in objects.findall("Contents")] == [quote(key, safe="")]
    listed = place.ask("GET", "/?encoding-type=url&uploads").document
    assert [each.findtext("Key") for each in listed.findall("Upload")] == [quote(key, safe="")]
    assert place.ask("DELETE", f"{target}?uploadId={upload_id}").status == 204
    assert place.ask("DELETE", target).status == 204
    assert place.ask("GET", "/").document.find("Contents") is None


def test_line_ends_in_keys_need_no_encoding(oss_store: OssStore) -> None:
    """XML can write them, where it does it by number."""
    place = Place(oss_store, oss_store.new_bucket())
    assert place.ask("POST", "/a%0D%0Ab%09c%0D?uploads").text("Key") == "a\r\nb\tc\r"
    assert place.ask("GET", "/?uploads").text("Key") == "a\r\nb\tc\r"


def test_every_way_to_write_a_key(place: Place) -> None:
    """Percent-encoded or not, in upper or lower case: the same key."""
    place.ask("PUT", "/d%C3%AEr/a~b", b"once")
    for target in ("/d%c3%aer/a~b", "/%64%C3%AEr%2Fa%7Eb"):
        assert place.ask("GET", target).body == b"once"


@pytest.mark.parametrize(
    "target", ["//x", "/%2Fx", "/%5Cx", "/\\x", "/" + "x" * 1024, "/" + "%C3%BC" * 512, "/%FF", "/a%C0%AFb"]
)
def test_keys_that_cannot_be(place: Place, target: str) -> None:
    """A leading slash or backslash, more than 1,023 bytes, no UTF-8: InvalidObjectName, whatever is asked."""
    for method, query in (("PUT", ""), ("GET", ""), ("POST", "?uploads"), ("GET", "?uploadId=1")):
        # What is no UTF-8 cannot be signed as it is: it is refused before the signature is looked at.
        answer = place.ask(method, target + query)
        assert refused(answer) == (400, "InvalidObjectName"), (method, query)


@settings(max_examples=60, deadline=None)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
        lambda key: key[0] not in "/\\" and len(key.encode()) <= 1023
    ),
    value=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
    prefix=st.binary(max_size=10),
)
def test_whatever_is_sent_arrives(place: Place, key: str, value: str, prefix: bytes) -> None:
    """Generated keys, metadata and query values: signed by the vendor, verified, kept and answered unchanged."""
    target = "/" + quote(key, safe="/")
    answer = place.ask("PUT", f"{target}?x={quote_from_bytes(prefix, safe='')}", key.encode(), x_oss_meta_v=value)
    assert answer.status == 200
    head = place.ask("HEAD", target)
    assert (head.headers["content-length"], head.headers["x-oss-meta-v"]) == (str(len(key.encode())), value)


# --- Lines that break, and things at the same moment ------------------------------------------------------------------


@contextmanager
def half_sent(place: Place, target: str, body: bytes) -> Iterator[socket]:
    """The line of a PUT of which the server has read a part of the body and waits for the rest."""
    request = place.request("PUT", target, body, Content_Length=str(len(body)))
    before = set((place.store.folder / "bytes").iterdir())
    with create_connection(("127.0.0.1", place.store.port), timeout=PATIENCE) as line:
        line.sendall(_head(request, sign(request, place.owner)) + body[: len(body) // 2])
        _wait(lambda: any(path.stat().st_size for path in _files(place) - before))
        yield line


def _files(place: Place) -> set[Path]:
    return set((place.store.folder / "bytes").iterdir())


def _head(request: Request, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n".encode()


def _wait(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, "never seen"
        time.sleep(0.01)


def test_a_part_that_ends_early_is_no_part(place: Place) -> None:
    upload_id = place.ask("POST", "/cut?uploads").text("UploadId")
    place.ask("PUT", f"/cut?partNumber=1&uploadId={upload_id}", b"whole")
    before = _files(place)
    with half_sent(place, f"/cut?partNumber=1&uploadId={upload_id}", b"x" * 1_000_000):
        assert _files(place) != before
    _wait(lambda: _files(place) == before)
    parts = place.ask("GET", f"/cut?uploadId={upload_id}").document.findall("Part")
    assert [part.findtext("Size") for part in parts] == ["5"]


def test_an_abort_does_not_reach_parts_on_their_way(place: Place) -> None:
    """They land afterwards and the upload is there again, until it is aborted once more."""
    upload_id = place.ask("POST", "/late?uploads").text("UploadId")
    place.ask("PUT", f"/late?partNumber=1&uploadId={upload_id}", b"early")
    late = b"x" * 1_000_000
    with half_sent(place, f"/late?partNumber=2&uploadId={upload_id}", late) as line:
        assert place.ask("DELETE", f"/late?uploadId={upload_id}").status == 204
        refused_part = place.ask("PUT", f"/late?partNumber=3&uploadId={upload_id}", b"new")
        assert refused(refused_part) == (404, "NoSuchUpload")
        line.sendall(late[len(late) // 2 :])
        assert line.recv(1024).startswith(b"HTTP/1.1 200 OK\r\n")
    parts = place.ask("GET", f"/late?uploadId={upload_id}").document.findall("Part")
    assert [part.findtext("PartNumber") for part in parts] == ["2"]
    complete = (
        b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>E</ETag></Part></CompleteMultipartUpload>"
    )
    assert refused(place.ask("POST", f"/late?uploadId={upload_id}", complete)) == (404, "NoSuchUpload")
    assert place.ask("DELETE", f"/late?uploadId={upload_id}").status == 204
    assert refused(place.ask("DELETE", f"/late?uploadId={upload_id}")) == (404, "NoSuchUpload")


def test_complete_goes_on_when_nobody_waits(place: Place) -> None:
    upload_id = place.ask("POST", "/left?uploads").text("UploadId")
    etags = [
        place.ask("PUT", f"/left?partNumber={number}&uploadId={upload_id}", b"x" * MIN_PART).headers["etag"]
        for number in range(1, 20)
    ]
    named = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
    request = place.request("POST", f"/left?uploadId={upload_id}", body, Content_Length=str(len(body)))
    with create_connection(("127.0.0.1", place.store.port), timeout=PATIENCE) as line:
        line.sendall(_head(request, sign(request, place.owner)) + body)
    _wait(lambda: place.ask("HEAD", "/left").status == 200)
    assert place.ask("HEAD", "/left").headers["content-length"] == str(19 * MIN_PART)


def test_a_refused_body_does_not_break_the_line(place: Place) -> None:
    """The answer is seen though the body was not wanted, and the next request on the line is read where it begins."""
    body = b"x" * 3_000_000
    request = place.request("PUT", "/refused?partNumber=1&uploadId=none", body, Content_Length=str(len(body)))
    again = place.request("HEAD", "/refused")
    with create_connection(("127.0.0.1", place.store.port), timeout=PATIENCE) as line:
        line.sendall(_head(request, sign(request, place.owner)) + body + _head(again, sign(again, place.owner)))
        seen = b""
        while seen.count(b"HTTP/1.1") < 2 or not seen.endswith(b"\r\n\r\n"):
            block = line.recv(65536)
            assert block, seen
            seen += block
    assert b"<Code>NoSuchUpload</Code>" in seen
    assert b"x-oss-err: " in seen


# --- Processes --------------------------------------------------------------------------------------------------------


def test_a_process_of_its_own_knows_the_names(place: Place) -> None:
    """With the store's environment, whatever the machine's resolver makes of `*.localhost`."""
    program = "import requests, sys; print(requests.get(sys.argv[1], timeout=30).text)"
    url = f"http://{place.host}:{place.store.port}/key"
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        env={**place.store.environment, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"<HostId>{place.host}</HostId>" in done.stdout


def test_two_stores_at_once(oss_store: OssStore, tmp_path: Path) -> None:
    """Each has its own buckets and accounts; one that ends takes nothing from the other."""
    with oss_stores.running(tmp_path) as other:
        bucket = other.new_bucket()
        assert refusal(Uploads(oss_store, "only-there").listing).code == "NoSuchBucket"
        owner = Account(oss_store.access_key, oss_store.secret_key)
        assert refusal(Uploads(other, bucket, owner).listing).code == "InvalidAccessKeyId"
        assert psutil.pid_exists(other.pid)
    assert not psutil.pid_exists(other.pid)
    assert Uploads(oss_store, oss_store.new_bucket()).listing().status_code == 200
