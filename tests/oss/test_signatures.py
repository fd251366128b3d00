"""The OSS test server accepts the signatures that OSS accepts, and refuses all others with OSS's error codes.

The signatures are made by the vendor's signer: V4 and V1, each in the Authorization header and in the URL.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote, unquote

import alibabacloud_oss_v2 as oss
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oss.test_reference import served
from tests.oss.vendor import Uploads, refusal
from tests.oss.wire import FORMS, VALID, BucketClient, Request, refused, send, sign, signed
from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account, Accounts

HEADER_FORMS = ("V4", "V1")
URL_FORMS = ("V4 URL", "V1 URL")
EC_OF_MISMATCH = {"V4": "0002-00000201", "V1": "0002-00000040"}


def ec_of_mismatch(form: str) -> str:
    return EC_OF_MISMATCH[form[:2]]


# --- All forms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_every_operation_is_signed_by_the_vendor(client: BucketClient, form: str) -> None:
    """A whole multipart upload with one form of signature: V1 signs some parameters of each operation, V4 all."""
    target = f"/whole {form}/ü"
    path = quote(target)

    def request(method: str, query: str, body: bytes = b"") -> Request:
        return client.request(method, f"{path}?{query}" if query else path, body, Content_Type="text/plain")

    upload_id = client.send_signed(form, request("POST", "uploads")).text("UploadId")
    etag = client.send_signed(form, request("PUT", f"partNumber=1&uploadId={upload_id}", b"part")).headers["etag"]
    parts = client.send_signed(form, request("GET", f"uploadId={upload_id}&max-parts=5&encoding-type=url"))
    assert parts.text("Size") == "4"
    listed = client.send_signed(
        form, client.request("GET", f"/?uploads&prefix={quote(target[1:], safe='')}&delimiter=%20")
    )
    assert listed.text("UploadIdMarker") == ""
    assert client.send_signed(form, client.request("GET", "/?uploads&max-uploads=1000")).status == 200
    xml = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    assert client.send_signed(form, request("POST", f"uploadId={upload_id}", xml.encode())).status == 200
    assert client.send_signed(form, request("GET", "")).body == b"part"
    assert client.send_signed(form, request("DELETE", "")).status == 204
    assert client.send_signed(form, request("HEAD", "")).status == 404


@pytest.mark.parametrize("form", FORMS)
def test_signed_values_cannot_be_changed(oss_store: OssStore, client: BucketClient, form: str) -> None:
    """Every difference from what was signed causes SignatureDoesNotMatch, and nothing is stored."""
    upload_id = client.request_signed("POST", "/signed?uploads").text("UploadId")
    target = f"/signed?partNumber=1&uploadId={upload_id}"
    made = signed(
        client.request("PUT", target, b"body", Content_Type="text/plain", x_oss_meta_a="1"), client.owner, form
    )
    request, headers = made.request, dict(made.headers)
    other = oss_store.new_bucket()
    changed: list[tuple[Request, dict[str, str]]] = [
        (dataclasses.replace(request, target=request.target.replace("/signed", "/Signed")), headers),
        (dataclasses.replace(request, target=request.target.replace("partNumber=1", "partNumber=2")), headers),
        (dataclasses.replace(request, target=request.target + "&uploads"), headers),
        (dataclasses.replace(request, target=request.target.replace("partNumber=1&", "")), headers),
        (dataclasses.replace(request, method="DELETE"), headers),
        (request, {**headers, "Content-Type": "text/html"}),
        (request, {**headers, "x-oss-meta-a": "2"}),
        (request, {**headers, "x-oss-meta-b": "1"}),
        (request, {**headers, "x-oss-forbid-overwrite": "true"}),
        (request, {**headers, "x-oss-copy-source": "/there/key"}),
        (request, {**headers, "Content-MD5": "hBotaJrKa9FhFEdFPCLG/A=="}),
        (request, {**headers, "Host": client.host.replace(client.bucket, other)}),
        (request, {**headers, "x-oss-meta-a": "\xe9"}),
    ]
    for sent, with_headers in changed:
        response = client.send(sent, with_headers)
        assert refused(response) == (403, "SignatureDoesNotMatch"), (sent, with_headers)
        assert response.text("EC") == ec_of_mismatch(form)
        assert response.text("StringToSign") != made.string_to_sign
    assert client.request_signed("GET", f"/signed?uploadId={upload_id}").document.find("Part") is None
    assert client.send(request, {**headers, "User-Agent": "anything"}).status == 200


@pytest.mark.parametrize("form", FORMS)
def test_wrong_secret(client: BucketClient, form: str) -> None:
    """The response has the text that was signed, so that a client finds its mistake, and never the right signature."""
    made = signed(
        client.request("PUT", "/wrong?partNumber=1&uploadId=A", x_oss_meta_a="1", Content_Type="text/x"),
        dataclasses.replace(client.owner, secret_key="wrong"),
        form,
    )
    response = client.send(made.request, made.headers)
    assert refused(response) == (403, "SignatureDoesNotMatch")
    assert response.text("OSSAccessKeyId") == client.owner.access_key
    assert response.text("StringToSign") == made.string_to_sign
    assert bytes.fromhex(response.text("StringToSignBytes")) == made.string_to_sign.encode()
    provided = unquote(made.headers.get("Authorization", made.request.target))
    assert provided.endswith(response.text("SignatureProvided"))
    assert response.headers["x-oss-ec"] == response.text("EC") == ec_of_mismatch(form)
    assert client.owner.secret_key not in response.body.decode()


@pytest.mark.parametrize("form", FORMS)
def test_unknown_access_key(client: BucketClient, form: str) -> None:
    response = client.send_signed(form, client.request("GET", "/?uploads"), Account("LTAIunknown", "secret"))
    assert refused(response) == (403, "InvalidAccessKeyId")
    assert response.text("EC") == "0002-00000902"


@settings(max_examples=40, deadline=None)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
        lambda key: key[0] not in "/\\"
    ),
    value=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
    prefix=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    form=st.sampled_from(FORMS),
)
def test_any_values_are_signed(client: BucketClient, key: str, value: str, prefix: str, form: str) -> None:
    """The vendor's signer and the server compute the same signature for generated keys, metadata and parameters."""
    target = f"/{quote(key, safe='/')}?x={quote(prefix, safe='')}"
    response = client.send_signed(form, client.request("PUT", target, b"content", x_oss_meta_v=value))
    assert response.status == 200


# --- Header -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", HEADER_FORMS)
@pytest.mark.parametrize(
    ("minutes", "accepted"), [(14, True), (-14, True), (16, False), (-16, False), (60 * 24, False)]
)
def test_clocks_may_differ_by_15_minutes(client: BucketClient, form: str, minutes: int, accepted: bool) -> None:
    signed_at = datetime.now(UTC) + timedelta(minutes=minutes)
    made = signed(client.request("GET", "/?uploads"), client.owner, form, signed_at=signed_at)
    response = client.send(made.request, made.headers)
    if accepted:
        assert response.status == 200
        return
    assert refused(response) == (403, "RequestTimeTooSkewed")
    assert response.text("EC") == "0002-00000504"
    assert response.text("MaxAllowedSkewMilliseconds") == "900000"
    assert response.text("RequestTime") == f"{signed_at:%Y-%m-%dT%H:%M:%S}.000Z"
    assert response.text("ServerTime") < f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}.000Z"


@pytest.mark.parametrize("form", HEADER_FORMS)
@pytest.mark.parametrize(
    ("dates", "ec"),
    [
        ({}, "0002-00000503"),
        ({"x-oss-date": "yesterday"}, "0002-00000502"),
        ({"x-oss-date": "Tue, 20 Dec 2022 08:48:18 GMT"}, "0002-00000502"),
        ({"Date": "20221220T084818Z"}, "0002-00000502"),
        ({"Date": "Tue, 20 Dec 2022 08:48:18 +0000"}, "0002-00000502"),
        ({"Date": "Tue, 2 Dec 2022 08:48:18 GMT"}, "0002-00000502"),
        ({"Date": "Tue, 99 Dec 2022 08:48:18 GMT"}, "0002-00000502"),
    ],
)
def test_missing_or_invalid_dates(client: BucketClient, form: str, dates: dict[str, str], ec: str) -> None:
    """AccessDenied; EC 0002-00000503 for no date, 0002-00000502 for one in another format than its header requires."""
    made = signed(client.request("GET", "/?uploads"), client.owner, form)
    kept = {name: text for name, text in made.headers.items() if name.lower() not in ("date", "x-oss-date")}
    response = client.send(made.request, {**kept, **dates})
    assert refused(response) == (403, "AccessDenied")
    assert response.text("EC") == ec
    assert response.text("Message") == "OSS authentication requires a valid Date."


def test_additional_headers(client: BucketClient) -> None:
    """They are part of the signature if the client names them."""
    request = client.request("PUT", "/additional", b"four", User_Agent="one")
    headers = sign(request, client.owner, additional=["host", "user-agent"])
    assert ",AdditionalHeaders=host;user-agent,Signature=" in headers["Authorization"]
    assert client.send(request, headers).status == 200
    assert refused(client.send(request, {**headers, "User-Agent": "two"})) == (403, "SignatureDoesNotMatch")
    without = headers["Authorization"].replace("AdditionalHeaders=host;user-agent,", "")
    assert refused(client.send(request, {**headers, "Authorization": without})) == (403, "SignatureDoesNotMatch")
    for names, ec in (("", "209"), ("host;", "210"), ("host;range", "211"), ("host;user_agent", "211")):
        changed = headers["Authorization"].replace("=host;user-agent,", f"={names},")
        response = client.send(request, {**headers, "Authorization": changed})
        assert (*refused(response), response.text("EC")) == (400, "InvalidArgument", f"0002-00000{ec}")


@pytest.mark.parametrize(
    ("authorization", "ec"),
    [
        ("OSS key", "0002-00000062"),
        ("OSS k ey:c2lnbmF0dXJl", "0002-00000064"),
        ("OSS LTAIkey:", "0002-00000065"),
        ("OSS2 AccessKeyId:key,AdditionalHeaders:host", "0002-00000108"),
        ("OSS2 AccessKeyId:key,AdditionalHeaders:,Signature:c2lnbmF0dXJl", "0002-00000110"),
        ("OSS2 AccessKeyId:key,AdditionalHeaders:range,Signature:c2lnbmF0dXJl", "0002-00000112"),
        ("AWS4-HMAC-SHA256 Credential=a/20120101/r/s3/aws4_request", "0002-00000202"),
        ("AWS key:c2lnbmF0dXJl", "0002-00000202"),
        ("OSS4-HMAC-SHA256 Signature=18", "0002-00000202"),
        ("OSS4-HMAC-SHA256 Credential=a/20120101/cn-hangzhou/oss/aliyun_v4_request", "0002-00000202"),
        ("OSS4-HMAC-SHA256 Credential=a,Signature=18", "0002-00000202"),
        ("OSS4-HMAC-SHA256 Credential=a,Signature=18,Signature=18", "0002-00000202"),
        ("OSS4-HMAC-SHA256 Credential=a,Signature=18,Other=1", "0002-00000202"),
    ],
)
def test_malformed_authorization(client: BucketClient, authorization: str, ec: str) -> None:
    request = client.request("GET", "/?uploads")
    response = client.send(request, {**sign(request, client.owner), "Authorization": authorization})
    assert (*refused(response), response.text("EC")) == (400, "InvalidArgument", ec)


def test_anonymous_requests_are_refused(client: BucketClient) -> None:
    response = client.send(client.request("GET", "/?uploads"), {"Host": client.host})
    assert refused(response) == (403, "AccessDenied")


@pytest.mark.parametrize("payload", [None, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
def test_v4_payload_is_unsigned(client: BucketClient, payload: str | None) -> None:
    request = client.request("GET", "/?uploads")
    headers = {name: text for name, text in sign(request, client.owner).items() if name != "x-oss-content-sha256"}
    if payload:
        headers["x-oss-content-sha256"] = payload
    assert refused(client.send(request, headers)) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("part", "by", "ec"),
    [
        ("/oss/", "/s3/", "0002-00000213"),
        ("/aliyun_v4_request", "/aws4_request", "0002-00000213"),
        ("/20", "/19", "0002-00000212"),
    ],
)
def test_wrong_credential_scope(client: BucketClient, part: str, by: str, ec: str) -> None:
    request = client.request("GET", "/?uploads")
    headers = sign(request, client.owner)
    assert part in headers["Authorization"]
    headers["Authorization"] = headers["Authorization"].replace(part, by, 1)
    response = client.send(request, headers)
    assert (*refused(response), response.text("EC")) == (400, "InvalidArgument", ec)


def test_region_of_signature_must_match_endpoint(client: BucketClient) -> None:
    wrong = refusal(Uploads(client.store, client.bucket, region="cn-beijing").listing)
    assert (wrong.status_code, wrong.code, wrong.ec) == (400, "InvalidArgument", "0002-00000226")


# --- Forms that only other clients of the vendor use ------------------------------------------------------------------


def _v4_by_date(client: BucketClient, request: Request, date: str, day: str) -> dict[str, str]:
    """A V4 signature as the Go SDK v3 makes it: without x-oss-date, with the text of Date as the signed time."""
    path = f"/{client.bucket}{request.target.partition('?')[0]}"
    canonical = f"{request.method}\n{path}\n\nx-oss-content-sha256:UNSIGNED-PAYLOAD\n\n\nUNSIGNED-PAYLOAD"
    scope = f"{day}/{client.store.region}/oss/aliyun_v4_request"
    text = f"OSS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"aliyun_v4{client.owner.secret_key}".encode()
    for step in (day, client.store.region, "oss", "aliyun_v4_request", text):
        key = hmac.digest(key, step.encode(), "sha256")
    authorization = f"OSS4-HMAC-SHA256 Credential={client.owner.access_key}/{scope},Signature={key.hex()}"
    return {
        "Host": client.host,
        "Date": date,
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "Authorization": authorization,
    }


def test_v4_dated_by_the_date_header(client: BucketClient) -> None:
    """The Go SDK v3 and ossutil 1.7 send no x-oss-date. Date is signed then, and compared with the clock."""
    request, now = client.request("PUT", "/dated"), datetime.now(UTC)
    headers = _v4_by_date(client, request, format_datetime(now, usegmt=True), f"{now:%Y%m%d}")
    assert client.send(request, headers).status == 200
    later = format_datetime(now + timedelta(seconds=1), usegmt=True)
    assert refused(client.send(request, {**headers, "Date": later})) == (403, "SignatureDoesNotMatch")
    old = now - timedelta(minutes=16)
    skewed = _v4_by_date(client, request, format_datetime(old, usegmt=True), f"{old:%Y%m%d}")
    assert refused(client.send(request, skewed)) == (403, "RequestTimeTooSkewed")


def test_x_oss_date_has_priority_over_date(client: BucketClient) -> None:
    """A proxy may change Date: with x-oss-date, it is not looked at."""
    request = client.request("GET", "/?uploads")
    headers = {**sign(request, client.owner), "Date": "Tue, 20 Dec 2022 08:48:18 GMT"}
    assert client.send(request, headers).status == 200


def test_fields_of_v4_in_any_order_with_spaces(client: BucketClient) -> None:
    """oss2 writes a space after each comma, and AdditionalHeaders last."""
    request = client.request("PUT", "/spaces", User_Agent="one")
    headers = sign(request, client.owner, additional=["user-agent"])
    scheme, _, rest = headers["Authorization"].partition(" ")
    credential, additional, signature = rest.split(",")
    for fields in (
        (credential, additional, signature),
        (credential, signature, additional),
        (signature, additional, credential),
    ):
        authorization = f"{scheme} {', '.join(fields)}"
        assert client.send(request, {**headers, "Authorization": authorization}).status == 200
        tampered = authorization.replace("Signature=", "Signature=0")
        assert refused(client.send(request, {**headers, "Authorization": tampered})) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("form", FORMS)
def test_parameters_encoded_as_a_form(client: BucketClient, form: str) -> None:
    """oss2 sends `+` for a space, others send a `/` as it is: the signature is of the decoded parameters."""
    client.request_signed("POST", "/a%20b/c?uploads")
    made = signed(client.request("GET", "/?uploads&prefix=a%20b%2Fc&delimiter=%2B"), client.owner, form)
    target = made.request.target.replace("prefix=a%20b%2Fc", "prefix=a+b/c")
    assert target != made.request.target
    listed = client.send(dataclasses.replace(made.request, target=target), made.headers).document
    assert {each.findtext("Key") for each in listed.findall("Upload")} == {"a b/c"}
    assert listed.findtext("Delimiter") == "+"


def test_v1_does_not_sign_other_parameters(client: BucketClient) -> None:
    """Only sub-resources are signed: whoever has the request can change its prefix."""
    made = signed(client.request("GET", "/?uploads&prefix=a"), client.owner, "V1")
    changed = dataclasses.replace(made.request, target="/?uploads&prefix=b")
    assert client.send(changed, made.headers).text("Prefix") == "b"


def test_documented_example_of_v1(tmp_path: Path) -> None:
    """The page "Add a signature to the header": the example's signature is accepted, its Content-MD5 is not."""
    now = datetime(2005, 11, 17, 18, 50, tzinfo=UTC)
    with served(tmp_path, now) as server:
        Accounts(tmp_path).save(Account("44CF9590006BF252F707", "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"))
        put = Request("PUT", "/oss-example", "oss-example.oss-cn-hangzhou.aliyuncs.com")
        server.request(dataclasses.replace(put, target="/"))
        headers = {
            "Authorization": "OSS 44CF9590006BF252F707:26NBxoKdsyly4EDv6inkoDft/yA=",
            "Content-Md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
            "Content-Type": "text/html",
            "Date": "Thu, 17 Nov 2005 18:49:58 GMT",
            "Host": put.host,
            "X-OSS-Meta-Author": "foo@bar.com",
            "X-OSS-Magic": "abracadabra",
        }
        right = send(server.port, dataclasses.replace(put, target="/nelson"), headers)
        wrong = send(server.port, dataclasses.replace(put, target="/Nelson"), headers)
    assert refused(right) == (400, "InvalidDigest")
    assert refused(wrong) == (403, "SignatureDoesNotMatch")


# --- URL --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "ec"), [("V4 URL", "0002-00000236"), ("V1 URL", "0002-00000069")])
def test_signed_url_expires(client: BucketClient, form: str, ec: str) -> None:
    """AccessDenied with the time of expiry, which is checked before the signature."""
    client.request_signed("PUT", "/url", b"content")
    request, now = client.request("GET", "/url"), datetime.now(UTC)
    for account in (client.owner, dataclasses.replace(client.owner, secret_key="wrong")):
        made = signed(request, account, form, signed_at=now - VALID - timedelta(seconds=5))
        response = client.send(made.request, made.headers)
        assert (*refused(response), response.text("EC")) == (403, "AccessDenied", ec)
        assert response.text("Message") == "Request has expired."
        assert response.text("Expires") == f"{now - timedelta(seconds=5):%Y-%m-%dT%H:%M:%S}.000Z"
        assert response.text("ServerTime") > response.text("Expires")
    made = signed(request, client.owner, form, signed_at=now - VALID + timedelta(seconds=100))
    assert client.send(made.request, {"Host": client.host}).body == b"content"


def test_v4_url_is_not_valid_too_early(client: BucketClient) -> None:
    """Up to 15 minutes before x-oss-date are allowed."""
    for minutes, status in ((14, 404), (16, 403)):
        signed_at = datetime.now(UTC) + timedelta(minutes=minutes)
        made = signed(client.request("GET", "/none"), client.owner, "V4 URL", signed_at=signed_at)
        assert client.send(made.request, made.headers).status == status


@pytest.mark.parametrize(
    ("form", "part", "by", "expected"),
    [
        ("V1 URL", "Expires=", "Other=", (403, "AccessDenied", "0002-00000067")),
        ("V1 URL", "Expires=", "Expires=&Other=", (403, "AccessDenied", "0002-00000068")),
        ("V1 URL", "Expires=", "Expires=abc", (403, "AccessDenied", "0002-00000070")),
        ("V1 URL", "Expires=", "Expires=" + "9" * 30, (403, "AccessDenied", "0002-00000070")),
        ("V1 URL", "Signature=", "Other=", (403, "AccessDenied", "0002-00000074")),
        ("V1 URL", "OSSAccessKeyId=", "Other=", (403, "AccessDenied", "0002-00000074")),
        ("V4 URL", "OSS4-HMAC-SHA256", "ABC", (400, "InvalidArgument", "0002-00000066")),
        ("V4 URL", "x-oss-expires=", "other=", (400, "InvalidArgument", "0002-00000215")),
        ("V4 URL", "x-oss-expires=", "x-oss-expires=&other=", (400, "InvalidArgument", "0002-00000216")),
        ("V4 URL", "x-oss-expires=", "x-oss-expires=abc", (400, "InvalidArgument", "0002-00000232")),
        ("V4 URL", "x-oss-expires=600", "x-oss-expires=604801", (400, "InvalidArgument", "0002-00000232")),
        ("V4 URL", "x-oss-credential=", "other=", (400, "InvalidArgument", "0002-00000217")),
        ("V4 URL", "x-oss-signature=", "other=", (400, "InvalidArgument", "0002-00000219")),
        ("V4 URL", "%2F20", "%2F19", (400, "InvalidArgument", "0002-00000223")),
        ("V4 URL", "aliyun_v4_request", "abc", (400, "InvalidArgument", "0002-00000224")),
        ("V4 URL", "x-oss-date=", "other=", (403, "AccessDenied", "0002-00000502")),
    ],
)
def test_malformed_signed_urls(
    client: BucketClient, form: str, part: str, by: str, expected: tuple[int, str, str]
) -> None:
    made = signed(client.request("GET", "/url"), client.owner, form)
    assert part in made.request.target
    changed = dataclasses.replace(made.request, target=made.request.target.replace(part, by, 1))
    response = client.send(changed, made.headers)
    assert (*refused(response), response.text("EC")) == expected


@pytest.mark.parametrize("form", URL_FORMS)
def test_two_signatures_are_refused(client: BucketClient, form: str) -> None:
    """One in the header and one in the URL: InvalidArgument, even if both are valid."""
    made = signed(client.request("GET", "/url"), client.owner, form)
    response = client.send(made.request, {**made.headers, **sign(made.request, client.owner)})
    assert (*refused(response), response.text("EC")) == (400, "InvalidArgument", "0002-00000039")


# --- Accounts ---------------------------------------------------------------------------------------------------------


def test_unknown_access_keys(client: BucketClient) -> None:
    for name in ("LTAIunknown", "unknown/../x"):
        request = client.request("GET", "/?uploads")
        response = client.send(request, sign(request, Account(name, "secret")))
        assert response.text("Code") in ("InvalidAccessKeyId", "InvalidArgument")


def _with_token_in_v1(client: BucketClient, account: Account) -> tuple[int, str]:
    """A V1 request with the token in x-oss-security-token, as documented and as the Go SDK sends it."""
    request = client.request("GET", "/?uploads")
    if account.token:
        request = client.request("GET", "/?uploads", x_oss_security_token=account.token)
    response = client.send_signed("V1", request, dataclasses.replace(account, token=""))
    return response.status, "" if response.status == 200 else response.text("Code")


def _with_token_in(form: str) -> Callable[[BucketClient, Account], tuple[int, str]]:
    def send_signed(client: BucketClient, account: Account) -> tuple[int, str]:
        response = client.send_signed(form, client.request("GET", "/?uploads"), account)
        return response.status, "" if response.status == 200 else response.text("Code")

    return send_signed


@pytest.mark.parametrize(
    "call",
    [_with_token_in("V4"), _with_token_in_v1, _with_token_in("V4 URL"), _with_token_in("V1 URL")],
    ids=["V4", "V1", "V4 URL", "V1 URL"],
)
def test_temporary_credentials(
    oss_store: OssStore, client: BucketClient, call: Callable[[BucketClient, Account], tuple[int, str]]
) -> None:
    """An STS key is valid only with its own token, and only until that has expired."""
    valid, other = (oss_store.new_account(temporary=True) for _ in range(2))
    expired = oss_store.new_account(temporary=True, expired=True)
    assert valid.access_key.startswith("STS.")
    assert call(client, valid) == (200, "")
    for account, code in (
        (dataclasses.replace(valid, token=""), "InvalidAccessKeyId"),
        (dataclasses.replace(valid, token="invented"), "InvalidSecurityToken"),
        (dataclasses.replace(valid, token=other.token), "AccessKeyIdAndSecurityTokenNotMatch"),
        (dataclasses.replace(client.owner, token=valid.token), "InvalidAccessKeyId"),
        (expired, "SecurityTokenExpired"),
    ):
        assert call(client, account) == (403, code)


CALLS: dict[str, Callable[[Uploads], object]] = {
    "oss:ListBuckets": lambda uploads: uploads.client.list_buckets(oss.ListBucketsRequest()),
    "oss:ListMultipartUploads": lambda uploads: uploads.listing(),
    "oss:ListParts": lambda uploads: uploads.parts("key", "id"),
    "oss:AbortMultipartUpload": lambda uploads: uploads.abort("key", "id"),
    "oss:PutObject": lambda uploads: uploads.initiate("key"),
    "oss:GetObject": lambda uploads: uploads.head("there"),
}


@pytest.mark.parametrize("version", ["v4", "v1"])
@pytest.mark.parametrize("action", CALLS)
def test_account_without_a_permission(oss_store: OssStore, client: BucketClient, action: str, version: str) -> None:
    """AccessDenied for the denied action only."""
    assert client.request_signed("PUT", "/there").status == 200
    account = oss_store.new_account(denied=[action])
    user = Uploads(oss_store, client.bucket, account, signature_version=version)
    for name, call in CALLS.items():
        if name == action:
            error = refusal(lambda call=call: call(user))  # type: ignore[misc]
            assert (error.status_code, error.code) == (403, "AccessDenied")
        elif name in ("oss:ListParts", "oss:AbortMultipartUpload"):
            assert refusal(lambda call=call: call(user)).code == "NoSuchUpload"  # type: ignore[misc]
        else:
            call(user)
