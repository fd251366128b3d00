"""V2 signatures in the header, which some of the vendor's clients offer.

Implemented as in the vendor's SDKs (aliyun-oss-go-sdk and oss2), with the errors of the OSS documentation. V2
signatures in the URL are not supported.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

from tests.stores.oss import errors
from tests.stores.oss.claims import Claim, date_of_headers
from tests.stores.oss.request import Request, bytes_of

MISMATCH_EC = "0002-00000101"

_REQUIRED = {"AccessKeyId", "Signature"}
_FIELDS = {*_REQUIRED, "AdditionalHeaders"}


def claim_of_header(request: Request, value: str, now: datetime) -> Claim:
    """The claim of `OSS2 AccessKeyId:...,AdditionalHeaders:...,Signature:...`. Raises Refusal."""
    pairs = [pair.partition(":") for pair in value.split(",")]
    fields = {name: text for name, _, text in pairs}
    if (
        len(fields) < len(pairs)
        or not _REQUIRED <= fields.keys() <= _FIELDS
        or not all(fields[key] for key in _REQUIRED)
    ):
        raise errors.bad_authorization("0002-00000108")
    additional = _additional(request, fields.get("AdditionalHeaders"))
    text = string_to_sign(request, date_of_headers(request, now).text, additional)
    token = request.header("x-oss-security-token")
    return Claim(
        fields["AccessKeyId"], token, fields["Signature"], text, lambda secret_key: _sign(text, secret_key), MISMATCH_EC
    )


def _additional(request: Request, text: str | None) -> list[str]:
    """The names of additional signed headers. All of them must be in the request."""
    if text is None:
        return []
    names = text.split(";")
    if "" in names:
        raise errors.bad_authorization("0002-00000110")
    if any(name not in request.headers or "_" in name for name in names):
        raise errors.bad_authorization("0002-00000112")
    return sorted(names)


def string_to_sign(request: Request, date: str, additional: Iterable[str]) -> str:
    headers = sorted(
        (name, text) for name, text in request.headers.items() if name.startswith("x-oss-") or name in additional
    )
    return "\n".join(
        [
            request.method,
            request.header("content-md5"),
            request.header("content-type"),
            date,
            "".join(f"{name}:{text}\n" for name, text in headers) + ";".join(additional),
            _resource(request),
        ]
    )


def _resource(request: Request) -> str:
    """The encoded resource with all parameters. Its slashes are encoded too."""
    path = f"/{request.host.bucket}/{request.key or ''}" if request.host.bucket else "/"
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in request.pairs)
    query = "&".join(f"{name}={value}" if value else name for name, value in pairs)
    return quote(path, safe="") + (f"?{query}" if query else "")


def _sign(text: str, secret_key: str) -> str:
    return base64.b64encode(hmac.digest(secret_key.encode(), bytes_of(text), hashlib.sha256)).decode()
