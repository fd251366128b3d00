"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload), parsed. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from uploads.problems import Code, Param, Problem, ProblemError

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "termination", "expiration", "checksum")
CHECKSUMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"

CHECKSUM_HEADER = "Upload-Checksum"
CREATION_HEADERS = ("Upload-Length", "Upload-Metadata", CHECKSUM_HEADER, "Upload-Offset")
PATCH_HEADERS = ("Upload-Offset", CHECKSUM_HEADER, "Upload-Length")
"""The headers that requests with a body may have. Clients may repeat in one what they have said in the other."""

MAX_METADATA = 16 * 1024
"""Bytes of the Upload-Metadata header."""
MAX_LENGTH_DIGITS = 18

INVALID_HEADER = "InvalidHeader"
INVALID_METADATA = "InvalidMetadata"
"""Codes in JSON that several problems share."""


class TusError(ProblemError):
    """An error response. `code` is its code in JSON where that is less specific than the problem's."""

    def __init__(
        self, status: int, problem: Problem, *, code: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.code = str(code) or problem.code
        self.headers = dict(headers or {})


def _invalid_header(code: Code, **params: Param) -> TusError:
    return TusError(400, Problem(code, **params), code=INVALID_HEADER)


def _invalid_metadata(code: Code, **params: Param) -> TusError:
    return TusError(400, Problem(code, **params), code=INVALID_METADATA)


def check_version(headers: Mapping[str, str]) -> None:
    """Raise 412 for a client of another version of the protocol."""
    given = headers.get("Tus-Resumable", "")
    if given != VERSION:
        problem = Problem(Code.MISSING_TUS_VERSION, version=VERSION)
        if given:
            problem = Problem(Code.WRONG_TUS_VERSION, version=VERSION, given=given)
        elif "Upload-Draft-Interop-Version" in headers:
            problem = Problem(Code.OTHER_PROTOCOL, version=VERSION)
        raise TusError(412, problem, code=Code.WRONG_TUS_VERSION, headers={"Tus-Version": VERSION})


def check_repeated(names: Collection[str]) -> None:
    """Refuse a request that has a header several times: one of them would be ignored."""
    for name in sorted(names):
        if name.startswith(("Upload-", "Tus-", "Partway-", "Content-")) or name == "X-Http-Method-Override":
            raise _invalid_header(Code.HEADER_REPEATED, header=name)


def check_extensions(headers: Mapping[str, str], allowed: Collection[str]) -> None:
    """Refuse headers of extensions that are not offered: ignoring one would change what the request means."""
    for name in headers:
        if name.startswith("Upload-") and name not in allowed:
            raise _not_supported(name, allowed)
    if "Content-Range" in headers:
        raise _not_supported("Content-Range", allowed)
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise TusError(415, Problem(Code.CONTENT_ENCODING_NOT_SUPPORTED, given=encoding))
    for name in headers.get("Trailer", "").split(","):
        if name.strip().title().startswith("Upload-"):
            raise _invalid_header(Code.TRAILER_NOT_SUPPORTED, header=name.strip())


def _not_supported(name: str, allowed: Collection[str]) -> TusError:
    if name == "Upload-Defer-Length":
        return TusError(400, Problem(Code.LENGTH_REQUIRED))
    if name == "Upload-Concat":
        return TusError(400, Problem(Code.CONCAT_NOT_SUPPORTED))
    return TusError(400, Problem(Code.HEADER_NOT_SUPPORTED, header=name, allowed=tuple(allowed)))


def check_unchanged(headers: Mapping[str, str], name: str, expected: int) -> None:
    """A number of bytes that a client repeats must be what it was."""
    if name in headers and (given := _number(headers, name)) != expected:
        raise _invalid_header(Code.HEADER_CHANGED, header=name, expected=str(expected), given=str(given))


def read_length(headers: Mapping[str, str]) -> int:
    """Upload-Length, in bytes. The parts are planned from it, so it cannot be deferred."""
    return _number(headers, "Upload-Length")


def read_offset(headers: Mapping[str, str]) -> int:
    """Upload-Offset, in bytes."""
    return _number(headers, "Upload-Offset")


def read_content_length(headers: Mapping[str, str], *, decodes_chunks: bool) -> int | None:
    """Content-Length, in bytes; None if the body is in chunks. Raises 411 if the web server does not decode them."""
    if "Transfer-Encoding" in headers:
        if not decodes_chunks:
            raise TusError(411, Problem(Code.MISSING_CONTENT_LENGTH))
        return None
    return _number({"Content-Length": headers.get("Content-Length") or "0"}, "Content-Length")


def check_content_type(headers: Mapping[str, str]) -> None:
    given = headers.get("Content-Type", "")
    if given.split(";")[0].strip().lower() != CONTENT_TYPE:
        raise TusError(415, Problem(Code.WRONG_CONTENT_TYPE, expected=CONTENT_TYPE, given=given))


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
        if not text:
            raise _invalid_header(Code.HEADER_MISSING, header=name)
        raise _invalid_header(Code.HEADER_NOT_A_NUMBER, header=name, given=text)
    return int(text)


def read_metadata(headers: Mapping[str, str], fields: Collection[str]) -> dict[str, str]:
    """The `fields` in Upload-Metadata: names with values in base64, which are UTF-8 here. A value may be missing.

    Other names are the client's own, and their values may be any bytes.
    """
    text = headers.get("Upload-Metadata", "")
    if len(text) > MAX_METADATA:
        raise _invalid_metadata(Code.METADATA_HEADER_TOO_LARGE, size_bytes=len(text), limit_bytes=MAX_METADATA)
    metadata: dict[str, bytes] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = pair.partition(" ")
        if name in metadata:
            raise _invalid_metadata(Code.METADATA_NAME_REPEATED, name=name)
        metadata[name] = _decoded(name, value.strip())
    return {name: _text(name, value) for name, value in metadata.items() if name in fields}


def _decoded(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise _invalid_metadata(Code.METADATA_NOT_BASE64, name=name) from error


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _invalid_metadata(Code.METADATA_NOT_BASE64, name=name) from error


@dataclass(frozen=True, slots=True)
class Checksum:
    """The expected digest of a body."""

    algorithm: str
    digest: bytes

    def start(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, received: bytes) -> None:
        """Raise 460 if the body has another digest."""
        if received != self.digest:
            raise TusError(460, Problem(Code.CHECKSUM_MISMATCH, algorithm=self.algorithm))


def read_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Upload-Checksum; None without the header."""
    text = headers.get(CHECKSUM_HEADER)
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in CHECKSUMS:
        raise TusError(400, Problem(Code.UNSUPPORTED_CHECKSUM, given=algorithm, allowed=CHECKSUMS))
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise _invalid_header(Code.CHECKSUM_NOT_BASE64) from error
    checksum = Checksum(algorithm, digest)
    if len(digest) != checksum.start().digest_size:
        raise _invalid_header(Code.CHECKSUM_WRONG_LENGTH, algorithm=algorithm, size_bytes=len(digest))
    return checksum
