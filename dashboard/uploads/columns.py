"""The columns of the listing. Each is declared once: its heading, cells, JSON field, and width.

To add a column, add it to `LISTED` or `FACTS`. The templates derive the headings and column spans from these tuples,
and `serializers` derives the JSON.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared import formatting, jsonapi
from dashboard.shared.formatting import Times
from dashboard.templatetags.components import dot
from uploads.domain.part_summary import PartSummary
from uploads.objectstore.types import MultipartUpload

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts of an upload show. `is_unlisted`: the store's listing leaves the upload out."""

    part_summary: PartSummary
    is_recent: bool
    is_unlisted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`css` names the column: static/uploads.css has its width by this name."""

    heading: StrOrPromise
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedColumn(Column):
    """A column that ListMultipartUploads fills. `field` and `value` are the JSON's name and value.

    `cell`: the whole cell with its tags; None for a value that has no column of its own. `varies`: the value that
    decides whether there is a column. If it is the same in every row, the page says it once.
    """

    field: str
    value: Callable[[MultipartUpload], Any]
    cell: Callable[[MultipartUpload, Times], str] | None = None
    varies: Callable[[MultipartUpload], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FactColumn(Column):
    """A column that ListParts fills, for the rows that are visible: see `facts`."""

    cell: Callable[[Facts], str]


# --- Cells ------------------------------------------------------------------------------------------------------------


def _age(upload: MultipartUpload, times: Times) -> str:
    """The seconds since 1970 keep the age up to date without an element for the time, because there are 1,000 rows.

    They are also for the filter by idle time: an upload without parts is idle since its start.
    """
    at = upload.initiated
    if at is None:
        return f"<td>{formatting.unknown_html()}</td>"
    return f'<td title="{times.time_text(at)}" data-at="{at.timestamp():.0f}">{times.age_text(at)}</td>'


def _upload_id(upload: MultipartUpload, _times: Times) -> str:
    return format_html(
        '<td class="mono" translate="no" title="{}">{}</td>', upload.upload_id, formatting.short_id(upload.upload_id)
    )


def _text(value: str) -> str:
    if not value:
        return "<td></td>"
    escaped = html.escape(value)
    return f'<td translate="no" title="{escaped}">{escaped}</td>'


def _parts(facts: Facts) -> str:
    return formatting.count_text(facts.part_summary.count)


def _bytes(facts: Facts) -> str:
    """The page gives the bar its maximum: the largest upload of those it shows."""
    size = facts.part_summary.total_bytes
    if not size:
        return formatting.bytes_html(size)
    bar = format_html('<progress class="bar" value="{0}" max="{0}" aria-hidden="true"></progress>', size)
    return formatting.bytes_html(size) + bar


def _last_activity(facts: Facts) -> str:
    at, undated = facts.part_summary.last_activity, facts.part_summary.undated
    if at is not None:
        return formatting.age_html(at)
    return (
        formatting.unknown_html() if undated else format_html('<span class="text-secondary">{}</span>', _("no parts"))
    )


def _state(facts: Facts) -> str:
    marks = []
    if facts.is_recent:
        title = _("A part arrived within the last hour: another program may still be sending this upload.")
        marks.append(dot("warn", _("recent"), title))
    elif facts.part_summary.undated:
        title = _("The store does not name a valid time for each part: whether someone is still sending is not known.")
        marks.append(dot("warn", _("not known"), title))
    if facts.part_summary.missing:
        marks.append(dot("bad", _("gap"), _("Part numbers are missing")))
    if facts.is_unlisted:
        marks.append(dot("good", _("still there"), _("The store still lists the parts")))
    return mark_safe(" ".join(marks))  # noqa: S308  (dots are escaped)


# --- The columns ------------------------------------------------------------------------------------------------------

KEY = ListedColumn(heading=gettext_lazy("Key"), css="key-column", field="Key", value=lambda upload: upload.key)
"""The first column. Its cells are made with the rows (`rows`): they have the checkbox and the marks of the upload."""

UPLOAD_ID = ListedColumn(
    heading=gettext_lazy("Upload id"), css="id-column", field="UploadId", value=lambda upload: upload.upload_id
)
INITIATED = ListedColumn(
    heading=gettext_lazy("Age"),
    css="age-column",
    field="Initiated",
    value=lambda upload: jsonapi.iso(upload.initiated),
    cell=_age,
)
INITIATOR = ListedColumn(
    heading=gettext_lazy("Initiator"),
    css="initiator-column",
    field="Initiator",
    value=lambda upload: upload.initiator,
    cell=lambda upload, _times: _text(upload.initiator),
    varies=lambda upload: upload.initiator,
)
STORAGE_CLASS = ListedColumn(
    heading=gettext_lazy("Class"),
    css="class-column",
    field="StorageClass",
    value=lambda upload: upload.storage_class,
    cell=lambda upload, _times: _text(upload.storage_class),
    varies=lambda upload: upload.storage_class,
)
PARTS = FactColumn(heading=gettext_lazy("Parts"), css="parts-column text-num", cell=_parts)
BYTES = FactColumn(heading=gettext_lazy("Bytes"), css="bytes-column text-num", cell=_bytes)
LAST_ACTIVITY = FactColumn(heading=gettext_lazy("Last activity"), css="activity-column", cell=_last_activity)
STATE = FactColumn(heading=gettext_lazy("State"), css="state-column", cell=_state)

LISTED: tuple[ListedColumn, ...] = (KEY, UPLOAD_ID, INITIATED, INITIATOR, STORAGE_CLASS)
"""What ListMultipartUploads returns of an upload, in the order of the page."""

FACTS: tuple[FactColumn, ...] = (PARTS, BYTES, LAST_ACTIVITY, STATE)
"""The columns of what only ListParts returns. Rows get these cells when they become visible."""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of one page. `same` are the values that all its rows share, each with its heading."""

    listed: tuple[ListedColumn, ...]
    same: tuple[tuple[StrOrPromise, str], ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return (KEY, *self.listed, *FACTS)

    @property
    def css(self) -> str:
        """The names of the columns that not every page has."""
        return " ".join(f"has-{column.css}" for column in self.listed if column.varies)


def table_of(uploads: Sequence[MultipartUpload]) -> Table:
    """The columns for these uploads."""
    listed, same = [], []
    for column in LISTED:
        if column.cell is None:
            continue
        values = set(map(column.varies, uploads)) if column.varies else None
        if values is None or len(values) > 1:
            listed.append(column)
        elif any(values):
            same.append((column.heading, values.pop()))
    return Table(tuple(listed), tuple(same))


TO_ABORT = Table((replace(UPLOAD_ID, cell=_upload_id),))
"""The columns of a selection to abort, of which only the names are known."""


# --- Rendering --------------------------------------------------------------------------------------------------------


def row_renderer(table: Table) -> Callable[[MultipartUpload], str]:
    """A function that renders the listed cells of a row after its key. It is called for each of 1,000 rows."""
    cells, times = [column.cell for column in table.listed if column.cell is not None], Times()
    return lambda upload: "".join([cell(upload, times) for cell in cells])


def render_facts(facts: Facts) -> SafeString:
    """The cells of the fact columns."""
    return format_html_join(
        "", '<td class="{}" data-label="{}">{}</td>', ((each.css, each.heading, each.cell(facts)) for each in FACTS)
    )


def render_without_facts(content: str) -> SafeString:
    """One cell in place of all fact columns."""
    return format_html('<td class="in-place-of-facts" colspan="{}">{}</td>', len(FACTS), content)


def last_active(summary: PartSummary) -> str:
    """When the last part arrived, in seconds since 1970, for the filter by idle time.

    "none" if there are no parts; empty if it is not known, because not every part has a time.
    """
    if not summary.count:
        return "none"
    at: datetime | None = summary.last_activity
    return "" if at is None or summary.undated else f"{at.timestamp():.0f}"
