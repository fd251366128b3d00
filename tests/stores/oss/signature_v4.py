"""V4 signatures, in the header and in the URL.

Implements the pages "Include a V4 signature in the Authorization header" and "Include a V4 signature in a URL" of the
OSS documentation. What they do not say is as in the vendor's SDKs: a request without x-oss-date is dated by the text of
its Date header (Go SDK v3 and ossutil 1.7), and the fields of the Authorization header may be in any order and may
have a space before them (oss2).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from tests.stores.oss import errors
from tests.stores.oss.claims import MAX_SKEW, Claim, Dated, date_of_headers, parse_iso, refuse_expired
from tests.stores.oss.request import Request, bytes_of

ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
MISMATCH_EC = "0002-00000201"
MAX_EXPIRES = 604_800
"""The longest validity of a signed URL in seconds: 7 days."""

URL_PARAMETERS = frozenset(
    {"x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature"}
)

_REQUIRED = {"Credential", "Signature"}
_FIELDS = {*_REQUIRED, "AdditionalHeaders"}


@dataclass(frozen=True, slots=True)
class Ecs:
    """The EC numbers of invalid credentials, which differ between the header and the URL."""

    form: str
    date: str
    suffix: str
    additional: str


IN_HEADER = Ecs("0002-00000202", "0002-00000212", "0002-00000213", "0002-00000211")
IN_URL = Ecs("0002-00000224", "0002-00000223", "0002-00000224", errors.UNKNOWN_EC)


@dataclass(frozen=True, slots=True)
class Credential:
    """`AccessKeyId/Date/Region/oss/aliyun_v4_request`."""

    access_key: str
    date: str
    region: str

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/oss/aliyun_v4_request"


def claim_of_header(request: Request, value: str, now: datetime) -> Claim:
    """The claim of `OSS4-HMAC-SHA256 Credential=...,AdditionalHeaders=...,Signature=...`. Raises Refusal."""
    fields = _fields(value)
    if (given := request.header("x-oss-content-sha256")) != UNSIGNED:
        raise errors.bad_payload_hash(given)
    date = date_of_headers(request, now)
    credential = _credential(fields["Credential"], date, IN_HEADER)
    additional = _additional(request, fields.get("AdditionalHeaders"), IN_HEADER)
    token = request.header("x-oss-security-token")
    return _claim(request, credential, token, fields["Signature"], date, additional)


def claim_of_url(request: Request, now: datetime) -> Claim:
    """The claim of the parameters x-oss-credential, x-oss-date, x-oss-expires and x-oss-signature. Raises Refusal."""
    parameters = request.parameters
    if parameters.get("x-oss-signature-version") != ALGORITHM:
        raise errors.bad_url("0002-00000066")
    for name, ec in (("expires", "0002-00000215"), ("credential", "0002-00000217"), ("signature", "0002-00000219")):
        if f"x-oss-{name}" not in parameters:
            raise errors.bad_url(ec)
    signed_at = parse_iso(parameters.get("x-oss-date", ""))
    if signed_at is None:
        raise errors.bad_date()
    _refuse_invalid_period(signed_at, parameters["x-oss-expires"], now)
    date = Dated(signed_at, parameters["x-oss-date"])
    credential = _credential(parameters["x-oss-credential"], date, IN_URL)
    additional = _additional(request, parameters.get("x-oss-additional-headers"), IN_URL)
    token = parameters.get("x-oss-security-token", "")
    return _claim(request, credential, token, parameters["x-oss-signature"], date, additional)


def _refuse_invalid_period(signed_at: datetime, expires: str, now: datetime) -> None:
    if not expires:
        raise errors.bad_url("0002-00000216")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 7 and 1 <= int(expires) <= MAX_EXPIRES):
        raise errors.bad_url("0002-00000232")
    if signed_at - now > MAX_SKEW:
        raise errors.too_early("0002-00000235")
    refuse_expired(signed_at + timedelta(seconds=int(expires)), now, "0002-00000236")


def _fields(value: str) -> dict[str, str]:
    """The fields of the Authorization header: `name=value`, separated by commas, in any order."""
    pairs = [pair.strip().partition("=") for pair in value.split(",")]
    fields = {name: text for name, _, text in pairs}
    if (
        len(fields) < len(pairs)
        or not _REQUIRED <= fields.keys() <= _FIELDS
        or not all(fields[key] for key in _REQUIRED)
    ):
        raise errors.bad_authorization("0002-00000202")
    return fields


def _credential(text: str, date: Dated, ecs: Ecs) -> Credential:
    fields = text.split("/")
    if len(fields) != 5:
        raise errors.bad_authorization(ecs.form)
    access_key, day, region, product, suffix = fields
    if day != f"{date.moment:%Y%m%d}":
        raise errors.bad_authorization(ecs.date)
    if (product, suffix) != ("oss", "aliyun_v4_request"):
        raise errors.bad_authorization(ecs.suffix)
    return Credential(access_key, day, region)


def _additional(request: Request, text: str | None, ecs: Ecs) -> list[str]:
    """The names of additional signed headers. All of them must be in the request."""
    if text is None:
        return []
    names = text.split(";")
    if "" in names:
        raise errors.bad_authorization("0002-00000210" if text else "0002-00000209")
    if any(name not in request.headers or "_" in name for name in names):
        raise errors.bad_authorization(ecs.additional)
    return sorted({name for name in names if not _is_always_signed(name)})


def _claim(
    request: Request, credential: Credential, token: str, signature: str, date: Dated, additional: list[str]
) -> Claim:
    if credential.region != request.host.region:
        raise errors.bad_region(credential.region)
    digest = hashlib.sha256(bytes_of(canonical_request(request, additional))).hexdigest()
    text = "\n".join([ALGORITHM, date.text, credential.scope, digest])
    return Claim(
        credential.access_key, token, signature, text, lambda key: _sign(text, credential.scope, key), MISMATCH_EC
    )


def canonical_request(request: Request, additional: Iterable[str]) -> str:
    path = f"/{request.host.bucket}/{request.key or ''}" if request.host.bucket else "/"
    signed = sorted(
        (name, text) for name, text in request.headers.items() if _is_always_signed(name) or name in additional
    )
    return "\n".join(
        [
            request.method,
            quote(path, safe="/"),
            _canonical_query(request),
            "".join(f"{name}:{text}\n" for name, text in signed),
            ";".join(additional),
            UNSIGNED,
        ]
    )


def _canonical_query(request: Request) -> str:
    """All parameters but the signature, encoded in one way however the client encoded them, in order."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in request.pairs)
    return "&".join(f"{name}={value}" if value else name for name, value in pairs if name != "x-oss-signature")


def _is_always_signed(name: str) -> bool:
    return name.startswith("x-oss-") or name in ("content-type", "content-md5")


def _sign(text: str, scope: str, secret_key: str) -> str:
    key = f"aliyun_v4{secret_key}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()
