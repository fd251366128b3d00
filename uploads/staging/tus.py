"""The words of tus 1.0.0 (https://tus.io/protocols/resumable-upload): headers to values and back, pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "termination", "expiration", "checksum")
CHECKSUMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"

MAX_METADATA = 16 * 1024
"""Bytes of the Upload-Metadata header."""
MAX_LENGTH_DIGITS = 18


class TusError(Exception):
    """What the protocol answers with a status of its own. `code` names the case in our JSON."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def check_version(headers: Mapping[str, str]) -> None:
    """412 for a client of another version of the protocol."""
    given = headers.get("Tus-Resumable", "")
    if given != VERSION:
        said = f"it says {given!r}" if given else "it says nothing"
        message = f"The request must say `Tus-Resumable: {VERSION}`; {said}."
        raise TusError(412, "WrongTusVersion", message, {"Tus-Version": VERSION})


def read_length(headers: Mapping[str, str]) -> int:
    """Upload-Length, in bytes. One to be told later (Upload-Defer-Length) is not taken: parts are planned by it."""
    if "Upload-Defer-Length" in headers:
        raise TusError(400, "LengthRequired", "A length that is told later is not supported: send Upload-Length.")
    return _number(headers, "Upload-Length")


def read_offset(headers: Mapping[str, str]) -> int:
    """Upload-Offset, in bytes."""
    return _number(headers, "Upload-Offset")


def read_content_length(headers: Mapping[str, str]) -> int:
    """Content-Length, in bytes. 411 without one: a body of unknown length cannot be checked before it is read."""
    text = headers.get("Content-Length", "")
    if not text and "Transfer-Encoding" in headers:
        raise TusError(411, "MissingContentLength", "The request must say its length (Content-Length).")
    return _number({"Content-Length": text or "0"}, "Content-Length")


def check_content_type(headers: Mapping[str, str]) -> None:
    given = headers.get("Content-Type", "")
    if given.split(";")[0].strip().lower() != CONTENT_TYPE:
        raise TusError(415, "WrongContentType", f"A body must be sent as {CONTENT_TYPE}, not as {given!r}.")


def _number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
        given = f"{text!r} is none" if text else "it is missing"
        raise TusError(400, "InvalidHeader", f"{name} must be a number of bytes; {given}.")
    return int(text)


def read_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Upload-Metadata: pairs of a key and a value in base64, which is UTF-8 here. A key may stand without a value."""
    text = headers.get("Upload-Metadata", "")
    if len(text) > MAX_METADATA:
        raise TusError(
            400, "InvalidMetadata", f"Upload-Metadata may have {MAX_METADATA:,} bytes; it has {len(text):,}."
        )
    metadata: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = pair.partition(" ")
        if name in metadata:
            raise TusError(400, "InvalidMetadata", f"Upload-Metadata names {name!r} twice.")
        metadata[name] = _decoded(name, value.strip())
    return metadata


def _decoded(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise TusError(400, "InvalidMetadata", f"Upload-Metadata: {name!r} is not base64 of UTF-8 text.") from error


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a body must have: an algorithm and its digest."""

    algorithm: str
    digest: bytes

    def begin(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, seen: bytes) -> None:
        """460 where the body had another sum."""
        if seen != self.digest:
            raise TusError(
                460, "ChecksumMismatch", f"The bytes that came have another {self.algorithm}; none was kept."
            )


def read_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Upload-Checksum; None where there is none."""
    text = headers.get("Upload-Checksum", "")
    if not text:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in CHECKSUMS:
        allowed = ", ".join(CHECKSUMS)
        raise TusError(400, "UnsupportedChecksum", f"Checksums may be {allowed}; {algorithm!r} is none of them.")
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise TusError(400, "InvalidHeader", "Upload-Checksum is not base64.") from error
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise TusError(400, "InvalidHeader", f"Upload-Checksum has {len(digest)} bytes: no {algorithm} has.")
    return Checksum(algorithm, digest)
