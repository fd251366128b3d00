"""A selection to abort as CSV: what the page or a scan knows of each upload. No request goes to the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboard.shared.exports import csv_lines
from dashboard.shared.jsonapi import iso
from uploads.models import InventoryUpload, Store
from uploads.objectstore.types import UploadRef
from uploads.selectors.inventory.known import known_parts

MOST_DIGITS = 18
LAST_SECOND = 253_402_300_799
"""Of the year 9999."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is known as text; '' if it is not. `checked_at`: when a scan has read it, if the page has not."""

    name: UploadRef
    parts: str = ""
    bytes: str = ""
    last_part: str = ""
    checked_at: str = ""


def selection_csv(store: Store, bucket: str, names: Sequence[UploadRef], facts: str) -> Iterator[str]:
    """`facts` has a line `PARTS,BYTES,LAST` for each upload, with seconds since 1970. Other values count as unknown."""
    scanned = known_parts(store, bucket, names)
    columns: Mapping[str, Callable[[Line], str]] = {
        "Store": lambda _: store.name,
        "Bucket": lambda _: bucket,
        "Key": lambda line: line.name.key,
        "UploadId": lambda line: line.name.upload_id,
        "Parts": lambda line: line.parts,
        "Bytes": lambda line: line.bytes,
        "LastPart": lambda line: line.last_part,
        "CheckedAt": lambda line: line.checked_at,
    }
    lines = facts.splitlines()
    given = lines if len(lines) == len(names) else [""] * len(names)
    return csv_lines(columns, map(_line, names, given, map(scanned.get, names)))


def _line(name: UploadRef, facts: str, scanned: InventoryUpload | None) -> Line:
    values = facts.split(",")
    if len(values) == 3 and _number(values[0]):
        return Line(name, _number(values[0]), _number(values[1]), _time(values[2]))
    return Line(name) if scanned is None else _of_scan(name, scanned)


def _of_scan(name: UploadRef, row: InventoryUpload) -> Line:
    parts, size = ("" if value is None else str(value) for value in (row.parts, row.bytes))
    return Line(name, parts, size, iso(row.last_part_at) or "", iso(row.checked_at) or "")


def _number(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else ""


def _time(text: str) -> str:
    seconds = int(_number(text) or -1)
    return iso(datetime.fromtimestamp(seconds, UTC)) or "" if 0 <= seconds <= LAST_SECOND else ""
