"""Signatures: SigV4 on top of requests-aws4auth, corrected for S3; OSS V4 with the vendor's signer.

A signer receives a prepared request with its final URL and headers, and adds the signature. It does not change the
path, the query or the body, so the signed request is the sent one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from requests import PreparedRequest
from requests_aws4auth import AWS4Auth
from requests_aws4auth.aws4signingkey import AWS4SigningKey

from uploads.objectstore.dialects import dialect_of
from uploads.objectstore.keys import check_header
from uploads.objectstore.types import Credentials, Signature, StoreConfig
from uploads.problems import Code

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

SIGNED_HEADERS = frozenset({"host", "content-type", "content-md5", "x-amz-*"})


def utc_now() -> datetime:
    return datetime.now(UTC)


class Signer(Protocol):
    """Signs the requests of the transport."""

    def sign(self, request: PreparedRequest, *, bucket: str, key: str, payload_hash: str) -> None:
        """Add the signature. `payload_hash` is the declared digest of the body, '' without a body."""


def signer_for(config: StoreConfig) -> Signer:
    """The signer for a store; NotSent with BAD_ARGUMENT for an unknown signature or values that no header can hold."""
    check_header(config.credentials.access_key, Code.ACCESS_KEY_NOT_ASCII)
    check_header(config.credentials.session_token or "", Code.SESSION_TOKEN_NOT_ASCII)
    check_header(config.region, Code.REGION_NOT_ASCII)
    dialect_of(config.signature)
    return _SIGNERS[config.signature](config.credentials, config.region)


class SigV4(AWS4Auth):  # type: ignore[misc]
    """AWS4Auth for S3: keeps paths, bodies and a preset payload hash, and may be shared between threads.

    See the S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
    """

    def __init__(self, credentials: Credentials, region: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._credentials = credentials
        self._clock = clock
        self._key = AWS4SigningKey(credentials.secret_key, region, "s3", clock().strftime("%Y%m%d"))
        super().__init__(
            credentials.access_key,
            self._key,
            session_token=credentials.session_token,
            include_hdrs=SIGNED_HEADERS,
        )

    def sign(self, request: PreparedRequest, *, bucket: str, key: str, payload_hash: str) -> None:
        del bucket, key  # They are in the path.
        if payload_hash:
            request.headers["x-amz-content-sha256"] = payload_hash
        self(request)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Date and sign. The parent's method reads the whole body into memory and overwrites its hash."""
        now = self._clock()
        headers = request.headers
        headers["x-amz-date"] = now.strftime("%Y%m%dT%H%M%SZ")
        headers.setdefault("x-amz-content-sha256", EMPTY_SHA256)
        if self._credentials.session_token:
            headers["x-amz-security-token"] = self._credentials.session_token
        key = self._key_for(now.strftime("%Y%m%d"))
        canonical_headers, signed_headers = self.get_canonical_headers(request, self.include_hdrs)
        canonical = self.get_canonical_request(request, canonical_headers, signed_headers)
        signature = key.sign_sha256(key.key, self.get_sig_string(request, canonical, key.scope)).hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_id}/{key.scope}, SignedHeaders={signed_headers}, "
            f"Signature={signature}"
        )
        return request

    def _key_for(self, date: str) -> AWS4SigningKey:
        """The signing key of a day. The parent changes key and date in two steps, which is not safe with threads."""
        key = self._key
        if key.date != date:
            key = AWS4SigningKey(self._credentials.secret_key, key.region, key.service, date)
            self._key = key
        return key

    def amz_cano_path(self, path: str) -> str:
        """The path unchanged: S3 keys may contain `//`, dots and a leading slash, which the parent removes."""
        return path

    @staticmethod
    def amz_norm_whitespace(text: str) -> str:
        """Collapse spaces as S3 does. The parent splits like a shell and fails on a single quote."""
        return " ".join(text.split())


class Oss4:
    """OSS4-HMAC-SHA256, with the vendor's signer. Payloads are unsigned: this signature does not cover their digest.

    It covers bucket and key, the query, content-type, content-md5 and x-oss-*, but not the host. See the OSS API
    reference, "Include a V4 signature in the header".
    """

    def __init__(self, credentials: Credentials, region: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock

    def sign(self, request: PreparedRequest, *, bucket: str, key: str, payload_hash: str) -> None:
        del payload_hash
        # Imported late, because the import takes memory and a tenth of a second, and other stores do not need it.
        from alibabacloud_oss_v2 import types as oss
        from alibabacloud_oss_v2.signer import SignerV4

        credentials = self._credentials
        request_to_sign = oss.HttpRequest(request.method, request.url, headers=dict(request.headers))
        context = oss.SigningContext(
            product="oss",
            region=self._region,
            bucket=bucket or None,
            key=key or None,
            request=request_to_sign,
            credentials=oss.Credentials(credentials.access_key, credentials.secret_key, credentials.session_token),
            signing_time=self._clock(),
        )
        SignerV4().sign(context)
        request.headers.update(request_to_sign.headers)


_SIGNERS: Mapping[Signature, Callable[[Credentials, str], Signer]] = {"sigv4": SigV4, "oss4": Oss4}
