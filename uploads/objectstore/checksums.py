"""CRC-64 of whole objects: computed part by part, combined without reading the bytes again. Pure.

There are two polynomials: Amazon S3 uses CRC-64/NVME (x-amz-checksum-crc64nvme, base64 of eight bytes), OSS uses
CRC-64/XZ, which it calls ECMA (x-oss-hash-crc64ecma, a decimal number). Values here are integers below 2**64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

Algorithm = Literal["nvme", "ecma"]

BodyChecksum = Literal["md5", "crc64nvme"]
"""What a store verifies the body of a file by: Content-MD5, or S3's x-amz-checksum-crc64nvme."""

CRC64_HEADER = "x-amz-checksum-crc64nvme"

WHOLE_OBJECT: Mapping[str, str] = {"x-amz-checksum-type": "FULL_OBJECT"}
"""The CRC-64 of an object is that of its bytes, not one of the checksums of its parts."""

_MODELS: Mapping[Algorithm, str] = {"nvme": "CRC64-NVME", "ecma": "CRC64-XZ"}


@cache
def _model(algorithm: Algorithm) -> Any:
    import anycrc

    return anycrc.Model(_MODELS[algorithm])


class Crc64:
    """The CRC-64 of bytes that are passed in order."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._model = _model(algorithm)
        self.value = 0

    def update(self, block: bytes | bytearray | memoryview) -> None:
        self.value = self._model.calc(block, self.value)


def combine(algorithm: Algorithm, parts: Iterable[tuple[int, int]]) -> int:
    """The CRC-64 of an object from (value, size in bytes) of its parts in order."""
    model, whole = _model(algorithm), 0
    for value, size in parts:
        whole = model.combine(whole, value, size)
    return whole


@dataclass(frozen=True, slots=True)
class ReportedCrc64:
    """The CRC-64 that a store reports for an object or a part."""

    algorithm: Algorithm
    value: int


def reported_crc64(headers: Mapping[str, str]) -> ReportedCrc64 | None:
    """The CRC-64 in the headers of a response (lower-case names); None if there is none of the whole content."""
    if ecma := reported_ecma(headers.get("x-oss-hash-crc64ecma", "")):
        return ecma
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() == "COMPOSITE":
        return None
    return reported_nvme(headers.get("x-amz-checksum-crc64nvme", ""))


def reported_ecma(text: str) -> ReportedCrc64 | None:
    """From the decimal number in OSS's headers and fields."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**64))):
        return None
    value = int(text)
    return ReportedCrc64("ecma", value) if value < 2**64 else None


def reported_nvme(text: str) -> ReportedCrc64 | None:
    """From the base64 text in S3's headers and fields."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return ReportedCrc64("nvme", int.from_bytes(raw)) if len(raw) == 8 else None


def as_hex(value: int) -> str:
    return f"{value:016x}"


def as_kept(reported: ReportedCrc64) -> str:
    """As database rows store it: `ecma:<16 hex digits>`."""
    return f"{reported.algorithm}:{as_hex(reported.value)}"


def from_kept(text: str) -> ReportedCrc64 | None:
    """The inverse of `as_kept`; None for an empty text."""
    algorithm, _, digits = text.partition(":")
    return ReportedCrc64("ecma" if algorithm == "ecma" else "nvme", int(digits, 16)) if digits else None


def as_store_writes_it(algorithm: Algorithm, value: int) -> str:
    """As the store's own console shows it."""
    return str(value) if algorithm == "ecma" else base64.b64encode(value.to_bytes(8)).decode()
