"""CRC-64 of whole objects: made part by part, combined without reading a byte again. Pure.

Two polynomials are in use: AWS S3 has CRC-64/NVME (x-amz-checksum-crc64nvme, base64 of eight bytes), OSS has
CRC-64/XZ, which it calls ECMA (x-oss-hash-crc64ecma, a decimal number). Values here are numbers below 2**64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

Algorithm = Literal["nvme", "ecma"]

_MODELS: Mapping[Algorithm, str] = {"nvme": "CRC64-NVME", "ecma": "CRC64-XZ"}


@cache
def _model(algorithm: Algorithm) -> Any:
    import anycrc

    return anycrc.Model(_MODELS[algorithm])


class Crc64:
    """The CRC-64 of bytes in order."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._model = _model(algorithm)
        self.value = 0

    def update(self, block: bytes | bytearray | memoryview) -> None:
        self.value = self._model.calc(block, self.value)


def combine(algorithm: Algorithm, parts: Iterable[tuple[int, int]]) -> int:
    """The CRC-64 of a whole from (value, size in bytes) of its parts in order."""
    model, whole = _model(algorithm), 0
    for value, size in parts:
        whole = model.combine(whole, value, size)
    return whole


@dataclass(frozen=True, slots=True)
class ReportedCrc64:
    """A CRC-64 that a store names for an object or a part."""

    algorithm: Algorithm
    value: int


def reported_crc64(headers: Mapping[str, str]) -> ReportedCrc64 | None:
    """What an answer's headers (names in lower case) say; None where they say nothing that can be compared."""
    if ecma := reported_ecma(headers.get("x-oss-hash-crc64ecma", "")):
        return ecma
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() == "COMPOSITE":
        return None
    return reported_nvme(headers.get("x-amz-checksum-crc64nvme", ""))


def reported_ecma(text: str) -> ReportedCrc64 | None:
    """The decimal number of OSS's headers and fields."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**64))):
        return None
    value = int(text)
    return ReportedCrc64("ecma", value) if value < 2**64 else None


def reported_nvme(text: str) -> ReportedCrc64 | None:
    """The base64 of S3's checksum fields."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return ReportedCrc64("nvme", int.from_bytes(raw)) if len(raw) == 8 else None


def as_hex(value: int) -> str:
    return f"{value:016x}"


def as_kept(reported: ReportedCrc64) -> str:
    """As rows keep it: `ecma:<16 hex digits>`."""
    return f"{reported.algorithm}:{as_hex(reported.value)}"


def as_store_writes_it(algorithm: Algorithm, value: int) -> str:
    """For comparing by eye with the store's own console."""
    return str(value) if algorithm == "ecma" else base64.b64encode(value.to_bytes(8)).decode()
