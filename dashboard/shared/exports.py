"""Long lists as CSV and JSON Lines, streamed: their length does not matter."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from django.http import StreamingHttpResponse
from django.utils import timezone

T = TypeVar("T")

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell starts with that a spreadsheet takes for a formula."""


def attachment(name: str, form: str, lines: Iterable[str]) -> StreamingHttpResponse:
    """The lines as a file, whose name has the time. `form` is `csv` or `jsonl`."""
    response = StreamingHttpResponse(lines, content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y%m%dT%H%M%SZ}.{form}"'
    response["Cache-Control"] = "no-store"
    return response


CONTENT_TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}


class _Echo:
    """A file for the CSV writer that returns what is written."""

    def write(self, text: str) -> str:
        return text


def csv_lines(columns: Mapping[str, Callable[[T], str]], rows: Iterable[T]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([cell(value(row)) for value in columns.values()])


def cell(text: str) -> str:
    """A text as every spreadsheet shows it: what would be a formula starts with an apostrophe."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def json_lines(values: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for value in values:
        yield json.dumps(value, ensure_ascii=False) + "\n"
