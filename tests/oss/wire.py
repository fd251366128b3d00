"""Raw requests to an OSS endpoint, signed with the vendor's signer but sent without a client."""

from __future__ import annotations

import http.client
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from alibabacloud_oss_v2 import types as vendor
from alibabacloud_oss_v2.signer import SignerV4

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


def sign(
    request: Request, account: Account, *, signed_at: datetime | None = None, additional: Collection[str] = ()
) -> dict[str, str]:
    """The headers of the signed request."""
    path, _, query = request.target.partition("?")
    signed = vendor.HttpRequest(request.method, f"http://{request.host}/?{query}", headers=dict(request.headers))
    signed.headers["Host"] = request.host
    context = vendor.SigningContext(
        product="oss",
        region=request.region,
        bucket=request.bucket,
        key=unquote(path[1:]) or None,
        request=signed,
        credentials=vendor.Credentials(account.access_key, account.secret_key, account.token or None),
        signing_time=signed_at or datetime.now(UTC),
        additional_headers=set(additional),
    )
    SignerV4().sign(context)
    return dict(signed.headers)


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
