"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload), parsed. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploads.problems import Code, Param, Problem, ProblemError

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "termination", "expiration", "checksum")
CHECKSUMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"

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
        raise TusError(412, problem, code=Code.WRONG_TUS_VERSION, headers={"Tus-Version": VERSION})


def read_length(headers: Mapping[str, str]) -> int:
    """Upload-Length, in bytes. It cannot be deferred (Upload-Defer-Length): the parts are planned from it."""
    if "Upload-Defer-Length" in headers:
        raise TusError(400, Problem(Code.LENGTH_REQUIRED))
    return _number(headers, "Upload-Length")


def read_offset(headers: Mapping[str, str]) -> int:
    """Upload-Offset, in bytes."""
    return _number(headers, "Upload-Offset")


def read_content_length(headers: Mapping[str, str]) -> int:
    """Content-Length, in bytes. Raises 411 without it: a body of unknown length cannot be checked in advance."""
    text = headers.get("Content-Length", "")
    if not text and "Transfer-Encoding" in headers:
        raise TusError(411, Problem(Code.MISSING_CONTENT_LENGTH))
    return _number({"Content-Length": text or "0"}, "Content-Length")


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


def read_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Upload-Metadata: names with values in base64, which are UTF-8 here. A value may be missing."""
    text = headers.get("Upload-Metadata", "")
    if len(text) > MAX_METADATA:
        raise _invalid_metadata(Code.METADATA_HEADER_TOO_LARGE, size_bytes=len(text), limit_bytes=MAX_METADATA)
    metadata: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = pair.partition(" ")
        if name in metadata:
            raise _invalid_metadata(Code.METADATA_NAME_REPEATED, name=name)
        metadata[name] = _decoded(name, value.strip())
    return metadata


def _decoded(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError as error:
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
    text = headers.get("Upload-Checksum", "")
    if not text:
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
