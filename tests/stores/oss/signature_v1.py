"""V1 signatures, in the header and in the URL.

Implements the pages "Add a signature to the header" and "Add signatures to a URL" of the OSS documentation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

from tests.stores.oss import errors
from tests.stores.oss.accounts import ACCESS_KEY
from tests.stores.oss.claims import Claim, date_of_headers, refuse_expired
from tests.stores.oss.request import Request, bytes_of

MISMATCH_EC = "0002-00000040"

URL_PARAMETERS = frozenset({"OSSAccessKeyId", "Expires", "Signature"})

_DOCUMENTED = (
    "acl uploads location cors logging website referer lifecycle delete append tagging objectMeta uploadId partNumber "
    "security-token position img style styleName replication replicationProgress replicationLocation cname bucketInfo "
    "comp qos live status vod startTime endTime symlink x-oss-process response-content-type response-content-language "
    "response-expires response-cache-control response-content-disposition response-content-encoding"
)
_ADDED_LATER = (  # From the vendor's SDK for Go.
    "udf udfName udfImage udfId udfImageDesc udfApplication udfApplicationLog restore callback callback-var qosInfo "
    "policy stat encryption versions versioning versionId requestPayment x-oss-request-payer sequential inventory "
    "inventoryId continuation-token asyncFetch worm wormId wormExtend withHashContext x-oss-enable-md5 "
    "x-oss-enable-sha1 x-oss-enable-sha256 x-oss-hash-ctx x-oss-md5-ctx x-oss-traffic-limit transferAcceleration "
    "regionList cloudboxes x-oss-ac-source-ip x-oss-ac-subnet-mask x-oss-ac-vpc-id x-oss-ac-forward-allow metaQuery "
    "resourceGroup rtc x-oss-async-process responseHeader"
)
SUBRESOURCES = frozenset({*_DOCUMENTED.split(), *_ADDED_LATER.split()})
"""Parameters that are part of the signature. All others can be changed without the secret key."""


def claim_of_header(request: Request, value: str, now: datetime) -> Claim:
    """The claim of `Authorization: OSS AccessKeyId:Signature`. Raises InvalidArgument or AccessDenied."""
    access_key, colon, signature = value.partition(":")
    if not colon:
        raise errors.bad_authorization("0002-00000062")
    if not ACCESS_KEY.fullmatch(access_key):
        raise errors.bad_authorization("0002-00000064")
    if not signature:
        raise errors.bad_authorization("0002-00000065")
    date = date_of_headers(request, now)
    return _claim(request, access_key, request.header("x-oss-security-token"), signature, date.text)


def claim_of_url(request: Request, now: datetime) -> Claim:
    """The claim of the parameters OSSAccessKeyId, Expires and Signature. Raises AccessDenied."""
    access_key, expires, signature = (
        request.parameters.get(name) for name in ("OSSAccessKeyId", "Expires", "Signature")
    )
    if expires is None or access_key is None or signature is None:
        raise errors.incomplete_url("0002-00000067" if expires is None else "0002-00000074")
    if not expires:
        raise errors.incomplete_url("0002-00000068")
    try:
        refuse_expired(datetime.fromtimestamp(int(expires), UTC), now, "0002-00000069")
    except (ValueError, OverflowError, OSError):
        raise errors.incomplete_url("0002-00000070") from None
    return _claim(request, access_key, request.parameters.get("security-token", ""), signature, expires)


def _claim(request: Request, access_key: str, token: str, signature: str, date: str) -> Claim:
    text = string_to_sign(request, date)
    return Claim(access_key, token, signature, text, lambda secret_key: _sign(text, secret_key), MISMATCH_EC)


def string_to_sign(request: Request, date: str) -> str:
    """The text that is signed. `date` is the date of the request, or the Expires of the URL."""
    headers = sorted((name, text) for name, text in request.headers.items() if name.startswith("x-oss-"))
    return "\n".join(
        [
            request.method,
            request.header("content-md5"),
            request.header("content-type"),
            date,
            "".join(f"{name}:{text}\n" for name, text in headers) + _resource(request),
        ]
    )


def _resource(request: Request) -> str:
    """The resource with the decoded parameters that are part of the signature."""
    path = f"/{request.host.bucket}/{request.key or ''}" if request.host.bucket else "/"
    chosen = sorted((name, value) for name, value in request.parameters.items() if name in SUBRESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in chosen)
    return f"{path}?{query}" if query else path


def _sign(text: str, secret_key: str) -> str:
    return base64.b64encode(hmac.digest(secret_key.encode(), bytes_of(text), hashlib.sha1)).decode()
