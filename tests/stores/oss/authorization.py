"""Authentication: verifies OSS V4 signatures in the header with the vendor's signer.

Signatures in the URL, V1 signatures (`OSS key:signature`) and S3's are not supported.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alibabacloud_oss_v2 import types as vendor
from alibabacloud_oss_v2.signer import SignerV4

from tests.stores.oss import errors
from tests.stores.oss.accounts import Account, Accounts
from tests.stores.oss.request import Request

MAX_SKEW = timedelta(minutes=15)

_CLAIM = re.compile(
    r"OSS4-HMAC-SHA256 Credential=([^/,]+)/([^/,]*)/([^/,]*)/([^/,]*)/([^/,]*)"
    r"(?:,AdditionalHeaders=([^,]*))?,Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The content of the Authorization header."""

    access_key: str
    date: str
    region: str
    product: str
    request: str
    additional_headers: str
    signature: str


def authenticate(request: Request, accounts: Accounts, now: datetime) -> Account:
    """The account that signed the request. Raises Refusal."""
    claim = _claim(request)
    signed_at = _date(request, now)
    if (claim.date, claim.product, claim.request) != (f"{signed_at:%Y%m%d}", "oss", "aliyun_v4_request"):
        raise errors.bad_authorization()
    if claim.region != request.host.region:
        raise errors.bad_region(claim.region)
    account = _account(claim, request, accounts, now)
    expected, string_to_sign = compute_signature(request, claim, account, signed_at)
    if not hmac.compare_digest(expected, claim.signature):
        raise errors.bad_signature(claim.access_key, claim.signature, string_to_sign)
    return account


def _claim(request: Request) -> Claim:
    text = request.header("authorization")
    if not text:
        raise errors.anonymous()
    match = _CLAIM.fullmatch(text)
    if not match:
        raise errors.bad_authorization()
    if (given := request.header("x-oss-content-sha256")) != "UNSIGNED-PAYLOAD":
        raise errors.bad_payload_hash(given)
    return Claim(*(part or "" for part in match.groups()))


def _date(request: Request, now: datetime) -> datetime:
    try:
        signed_at = datetime.strptime(request.header("x-oss-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise errors.no_date() from None
    if abs(now - signed_at) > MAX_SKEW:
        raise errors.skewed(f"{signed_at:%Y-%m-%dT%H:%M:%S}.000Z", f"{now:%Y-%m-%dT%H:%M:%S}.000Z")
    return signed_at


def _account(claim: Claim, request: Request, accounts: Accounts, now: datetime) -> Account:
    """The account of the access key. The request must have its token if it has one."""
    token = request.header("x-oss-security-token")
    account = accounts.find(claim.access_key)
    if token and (account is None or not account.token):
        raise errors.unknown_access_key(claim.access_key, "0002-00000002")
    if account is None or (account.token and not token):
        raise errors.unknown_access_key(claim.access_key)
    if not hmac.compare_digest(token.encode(), account.token.encode()):
        raise errors.token_of_another() if accounts.has_token(token) else errors.bad_token()
    if account.expires is not None and account.expires <= now.timestamp():
        raise errors.token_expired()
    return account


def compute_signature(request: Request, claim: Claim, account: Account, signed_at: datetime) -> tuple[str, str]:
    """The signature that the vendor's code computes for the request, and the text that it signs."""
    headers = {name: text for name, text in request.headers.items() if name != "authorization"}
    context = vendor.SigningContext(
        product="oss",
        region=claim.region,
        bucket=request.host.bucket,
        key=request.key,
        request=vendor.HttpRequest(request.method, f"http://oss/?{request.query}", headers=headers),
        credentials=vendor.Credentials(account.access_key, account.secret_key, account.token or None),
        signing_time=signed_at,
        additional_headers=set(filter(None, claim.additional_headers.split(";"))),
    )
    try:
        SignerV4().sign(context)
    except UnicodeEncodeError:  # A header that is not UTF-8 cannot have been signed.
        return "", ""
    authorization: str = context.request.headers["Authorization"]
    return authorization.rpartition("Signature=")[2], context.string_to_sign
