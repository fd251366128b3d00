"""Authentication: OSS V1 and V4 signatures in the header or in the URL, and V2 signatures in the header.

POST policies and S3's signatures are not supported.
"""

from __future__ import annotations

import hmac
from datetime import datetime

from tests.stores.oss import errors, signature_v1, signature_v2, signature_v4
from tests.stores.oss.accounts import Account, Accounts
from tests.stores.oss.claims import Claim
from tests.stores.oss.request import Request, bytes_of


def authenticate(request: Request, accounts: Accounts, now: datetime) -> Account:
    """The account that signed the request. Raises Refusal."""
    claim = _claim(request, now)
    account = _account(claim, accounts, now)
    if not hmac.compare_digest(claim.sign(account.secret_key).encode(), bytes_of(claim.signature)):
        raise errors.bad_signature(claim.access_key, claim.signature, claim.string_to_sign, claim.mismatch_ec)
    return account


def _claim(request: Request, now: datetime) -> Claim:
    authorization = request.header("authorization")
    v1_url = bool(signature_v1.URL_PARAMETERS & request.parameters.keys())
    v4_url = bool(signature_v4.URL_PARAMETERS & request.parameters.keys())
    if authorization:
        if v1_url or v4_url:
            raise errors.two_signatures()
        return _claim_of_header(request, authorization, now)
    if v4_url:
        return signature_v4.claim_of_url(request, now)
    if v1_url:
        return signature_v1.claim_of_url(request, now)
    raise errors.anonymous()


def _claim_of_header(request: Request, authorization: str, now: datetime) -> Claim:
    scheme, _, value = authorization.partition(" ")
    match scheme:
        case "OSS":
            return signature_v1.claim_of_header(request, value, now)
        case "OSS2":
            return signature_v2.claim_of_header(request, value, now)
        case signature_v4.ALGORITHM:
            return signature_v4.claim_of_header(request, value, now)
    raise errors.bad_authorization()


def _account(claim: Claim, accounts: Accounts, now: datetime) -> Account:
    """The account of the access key. The request must have its token if it has one."""
    token, account = claim.token, accounts.find(claim.access_key)
    if token and (account is None or not account.token):
        raise errors.unknown_access_key(claim.access_key, "0002-00000002")
    if account is None or (account.token and not token):
        raise errors.unknown_access_key(claim.access_key)
    if not hmac.compare_digest(bytes_of(token), account.token.encode()):
        raise errors.token_of_another() if accounts.has_token(token) else errors.bad_token()
    if account.expires is not None and account.expires <= now.timestamp():
        raise errors.token_expired()
    return account
