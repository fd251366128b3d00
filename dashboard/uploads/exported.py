"""A selection to abort as CSV: what the page knows of each upload, so that no request to the store is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboard.shared.exports import csv_lines
from dashboard.shared.jsonapi import iso
from uploads.models import Store
from uploads.objectstore.types import UploadRef

MOST_DIGITS = 18
LAST_SECOND = 253_402_300_799
"""Of the year 9999."""


@dataclass(frozen=True, slots=True)
class Line:
    """The values that the page knows as text; '' if it does not."""

    name: UploadRef
    parts: str = ""
    bytes: str = ""
    last_part: str = ""


def selection_csv(store: Store, bucket: str, names: Sequence[UploadRef], facts: str) -> Iterator[str]:
    """`facts` has a line `PARTS,BYTES,LAST` for each upload, with seconds since 1970. Other values count as unknown."""
    columns: Mapping[str, Callable[[Line], str]] = {
        "Store": lambda _: store.name,
        "Bucket": lambda _: bucket,
        "Key": lambda line: line.name.key,
        "UploadId": lambda line: line.name.upload_id,
        "Parts": lambda line: line.parts,
        "Bytes": lambda line: line.bytes,
        "LastPart": lambda line: line.last_part,
    }
    return csv_lines(columns, _lines(names, facts.splitlines()))


def _lines(names: Sequence[UploadRef], facts: Sequence[str]) -> Iterator[Line]:
    for number, name in enumerate(names):
        values = facts[number].split(",") if len(facts) == len(names) else []
        if len(values) == 3:
            yield Line(name, _number(values[0]), _number(values[1]), _time(values[2]))
        else:
            yield Line(name)


def _number(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else ""


def _time(text: str) -> str:
    seconds = int(_number(text) or -1)
    return iso(datetime.fromtimestamp(seconds, UTC)) or "" if 0 <= seconds <= LAST_SECOND else ""
