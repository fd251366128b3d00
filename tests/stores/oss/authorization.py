"""Whose request it is: OSS V4 signatures in the header, computed again with the vendor's own signer.

Signatures in the URL, the older V1 (`OSS key:signature`) and S3's are not known here.
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
from tests.stores.oss.asked import Asked

MAX_SKEW = timedelta(minutes=15)

_CLAIM = re.compile(
    r"OSS4-HMAC-SHA256 Credential=([^/,]+)/([^/,]*)/([^/,]*)/([^/,]*)/([^/,]*)"
    r"(?:,AdditionalHeaders=([^,]*))?,Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the Authorization header says."""

    access_key: str
    date: str
    region: str
    product: str
    request: str
    additional_headers: str
    signature: str


def authenticate(asked: Asked, accounts: Accounts, now: datetime) -> Account:
    """Whoever signed it, or a Refusal."""
    claim = _claim(asked)
    signed_at = _date(asked, now)
    if (claim.date, claim.product, claim.request) != (f"{signed_at:%Y%m%d}", "oss", "aliyun_v4_request"):
        raise errors.bad_authorization()
    if claim.region != asked.host.region:
        raise errors.bad_region(claim.region)
    account = _account(claim, asked, accounts, now)
    expected, string_to_sign = sign_again(asked, claim, account, signed_at)
    if not hmac.compare_digest(expected, claim.signature):
        raise errors.bad_signature(claim.access_key, claim.signature, string_to_sign)
    return account


def _claim(asked: Asked) -> Claim:
    text = asked.header("authorization")
    if not text:
        raise errors.anonymous()
    found = _CLAIM.fullmatch(text)
    if not found:
        raise errors.bad_authorization()
    if (given := asked.header("x-oss-content-sha256")) != "UNSIGNED-PAYLOAD":
        raise errors.bad_payload_hash(given)
    return Claim(*(part or "" for part in found.groups()))


def _date(asked: Asked, now: datetime) -> datetime:
    try:
        signed_at = datetime.strptime(asked.header("x-oss-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise errors.no_date() from None
    if abs(now - signed_at) > MAX_SKEW:
        raise errors.skewed(f"{signed_at:%Y-%m-%dT%H:%M:%S}.000Z", f"{now:%Y-%m-%dT%H:%M:%S}.000Z")
    return signed_at


def _account(claim: Claim, asked: Asked, accounts: Accounts, now: datetime) -> Account:
    """The account of the access key, whose token has to come along where it has one."""
    token = asked.header("x-oss-security-token")
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


def sign_again(asked: Asked, claim: Claim, account: Account, signed_at: datetime) -> tuple[str, str]:
    """The signature that the vendor's code makes of what arrived, and the text that it signs."""
    headers = {name: text for name, text in asked.headers.items() if name != "authorization"}
    context = vendor.SigningContext(
        product="oss",
        region=claim.region,
        bucket=asked.host.bucket,
        key=asked.key,
        request=vendor.HttpRequest(asked.method, f"http://oss/?{asked.query}", headers=headers),
        credentials=vendor.Credentials(account.access_key, account.secret_key, account.token or None),
        signing_time=signed_at,
        additional_headers=set(filter(None, claim.additional_headers.split(";"))),
    )
    try:
        SignerV4().sign(context)
    except UnicodeEncodeError:  # A header that is no UTF-8: nobody can have signed it.
        return "", ""
    authorization: str = context.request.headers["Authorization"]
    return authorization.rpartition("Signature=")[2], context.string_to_sign
