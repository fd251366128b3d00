"""Raw requests to an OSS endpoint, signed with the vendor's signer but sent without a client."""

from __future__ import annotations

import http.client
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote, unquote_to_bytes
from xml.etree import ElementTree as ET

from alibabacloud_oss_v2 import types as vendor
from alibabacloud_oss_v2.signer import SignerV1, SignerV4

from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account


@dataclass(frozen=True, slots=True)
class Response:
    """The names in `headers` are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def document(self) -> ET.Element:
        return ET.fromstring(self.body)

    def text(self, name: str) -> str:
        """The text of the first element with that name, '' if it is empty; AssertionError if there is none."""
        found = self.document.find(f".//{name}")
        assert found is not None, (name, self.body)
        return found.text or ""


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is the path and query exactly as sent. `host` is `[bucket.]oss[-region].domain`."""

    method: str
    target: str
    host: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def region(self) -> str:
        """The region of the endpoint; the name oss.aliyuncs.com contains none."""
        label = next(
            label for label in self.host.split(".") if label.partition("-")[0] == "oss" and label != self.bucket
        )
        return label.partition("-")[2] or "cn-hangzhou"

    @property
    def bucket(self) -> str | None:
        labels = self.host.split(".")
        return labels[0] if len(labels) > 1 and labels[1].partition("-")[0] == "oss" else None


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed request, and the text that the vendor's signer signed."""

    request: Request
    headers: Mapping[str, str]
    string_to_sign: str


FORMS = ("V4", "V1", "V4 URL", "V1 URL")
"""The kinds of signatures: the version, and whether the signature is in the header or in the URL."""

VALID = timedelta(minutes=10)
"""The validity of signed URLs."""


def sign(
    request: Request, account: Account, *, signed_at: datetime | None = None, additional: Collection[str] = ()
) -> dict[str, str]:
    """The headers of the request with a V4 signature."""
    return dict(signed(request, account, "V4", signed_at=signed_at, additional=additional).headers)


def signed(
    request: Request,
    account: Account,
    form: str,
    *,
    signed_at: datetime | None = None,
    additional: Collection[str] = (),
) -> Signed:
    """The request with a signature of the form by the vendor's signer."""
    path, _, query = request.target.partition("?")
    url = f"http://{request.host}/?{encoded_query(query)}"
    sent = vendor.HttpRequest(request.method, url, headers=dict(request.headers))
    sent.headers["Host"] = request.host
    context = vendor.SigningContext(
        product="oss",
        region=request.region,
        bucket=request.bucket,
        key=unquote(path[1:]) or None,
        request=sent,
        credentials=vendor.Credentials(account.access_key, account.secret_key, account.token or None),
        signing_time=signed_at or datetime.now(UTC),
        additional_headers=set(additional),
    )
    if form.endswith("URL"):
        context.auth_method_query = True
        context.expiration_time = context.signing_time + VALID
    (SignerV1 if form.startswith("V1") else SignerV4)().sign(context)
    target = f"{path}?{sent.url.partition('?')[2]}" if context.auth_method_query else request.target
    return Signed(replace(request, target=target), dict(sent.headers), context.string_to_sign)


def encoded_query(query: str) -> str:
    """The query as the vendor's client encodes it: OSS signs this form, however the request is encoded."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    encoded = (
        (quote(unquote_to_bytes(name), safe=""), quote(unquote_to_bytes(value), safe="")) for name, _, value in pairs
    )
    return "&".join(f"{name}={value}" if value else name for name, value in encoded)


def send(port: int, request: Request, headers: Mapping[str, str]) -> Response:
    """Send to a loopback port and read the response. A body is sent with its length, or chunked if a header says so."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        chunked = headers.get("Transfer-Encoding") == "chunked"
        if request.method in ("PUT", "POST") and not chunked:
            connection.putheader("Content-Length", str(len(request.body)))
        for name, text in headers.items():
            connection.putheader(name, text)
        connection.endheaders(request.body or None, encode_chunked=chunked)
        if chunked and not request.body:
            connection.send(b"0\r\n\r\n")
        response = connection.getresponse()
        names = {name.lower(): text for name, text in response.getheaders()}
        return Response(response.status, names, response.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class BucketClient:
    """A bucket, and requests to it with the owner's credentials."""

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

    def request_signed(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        request = self.request(method, target, body, **headers)
        return self.send(request, sign(request, self.owner))

    def send(self, request: Request, headers: Mapping[str, str]) -> Response:
        return send(self.store.port, request, headers)

    def send_signed(self, form: str, request: Request, account: Account | None = None) -> Response:
        made = signed(request, account or self.owner, form)
        return self.send(made.request, made.headers)


def refused(response: Response) -> tuple[int, str]:
    return response.status, response.text("Code")
