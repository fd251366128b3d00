"""All uploads of a plan, as CSV and JSON Lines. It is streamed: its length does not matter."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from django.http import StreamingHttpResponse

from dashboard.sweeps.serializers import item_json
from uploads.access import AnyUser
from uploads.models import Sweep, SweepItem
from uploads.selectors.sweeps import iter_items

COLUMNS = (
    "Store",
    "Bucket",
    "Key",
    "UploadId",
    "StorageClass",
    "Verdict",
    "Parts",
    "Bytes",
    "LastPart",
    "state",
    "proof",
    "finished",
)

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell starts with that a spreadsheet takes for a formula."""

CHUNK = 1000


def export(user: AnyUser, sweep: Sweep, form: str) -> StreamingHttpResponse:
    write, content_type = FORMATS[form]
    lines = iter_items(user, sweep).iterator(chunk_size=CHUNK)
    response = StreamingHttpResponse(write(lines), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="sweep-{sweep.pk}.{form}"'
    response["Cache-Control"] = "no-store"
    return response


class _Echo:
    """A file for the CSV writer that returns what is written."""

    def write(self, text: str) -> str:
        return text


def _csv(items: Iterable[SweepItem]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow((*COLUMNS, "error"))
    for item in items:
        values = item_json(item)
        row = [_cell("" if values[name] is None else str(values[name])) for name in COLUMNS]
        yield writer.writerow([*row, item.error_code])


def _cell(text: str) -> str:
    """What would be a formula starts with an apostrophe."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def _jsonl(items: Iterable[SweepItem]) -> Iterator[str]:
    for item in items:
        yield json.dumps(item_json(item), ensure_ascii=False) + "\n"


FORMATS: Mapping[str, tuple[Callable[[Iterable[SweepItem]], Iterator[str]], str]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "jsonl": (_jsonl, "application/jsonl; charset=utf-8"),
}
