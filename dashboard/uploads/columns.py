"""The columns of the listing. Each is declared once: its heading, cells, JSON field, and width.

To add a column, add it to `LISTED` or `FACTS`. The templates derive the headings and column spans from these tuples,
and `serializers` derives the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from dashboard.shared import formatting, jsonapi
from dashboard.templatetags.components import copy_button, dot
from dashboard.templatetags.values import exactly
from uploads.domain.part_summary import PartSummary
from uploads.objectstore.types import MultipartUpload

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """An upload as a row shows it. `marks` follow its key: badges that say what Partway knows about it."""

    upload: MultipartUpload
    detail_url: str
    marks: SafeString | str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts of an upload show. `is_unlisted`: the store's listing leaves the upload out."""

    part_summary: PartSummary
    is_recent: bool
    is_unlisted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`label` stands beside the cell on a phone, where rows are cards. `css` sets the width and alignment."""

    heading: StrOrPromise
    label: StrOrPromise = ""
    css: str = ""
    is_row_heading: bool = False

    def tags(self) -> tuple[str, str]:
        """The opening and the closing tag of the column's cells."""
        if self.is_row_heading:
            return '<th scope="row">', "</th>"
        css = format_html(' class="{}"', self.css) if self.css else ""
        return format_html('<td{} data-label="{}">', css, self.label or self.heading), "</td>"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedColumn(Column):
    """A column that ListMultipartUploads fills. `field` and `value` are the JSON's name and value."""

    cell: Callable[[ListedUpload], str]
    field: str
    value: Callable[[MultipartUpload], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactColumn(Column):
    """A column that ListParts fills, in a request of its own for each row: see `facts`."""

    cell: Callable[[Facts], str]


# --- Cells ------------------------------------------------------------------------------------------------------------


def _key(row: ListedUpload) -> str:
    return format_html('<a href="{}">{}</a>{}', row.detail_url, formatting.key_html(row.upload.key), row.marks)


def _upload_id(row: ListedUpload) -> str:
    upload_id = row.upload.upload_id
    before, after = _copy_button_around(get_language())
    button = mark_safe(before + exactly(upload_id) + after)  # noqa: S308  (percent-encoded)
    return format_html(
        '<span class="mono" translate="no" title="{}">{}</span>{}', upload_id, formatting.short_id(upload_id), button
    )


@cache
def _copy_button_around(language: str | None) -> tuple[str, str]:  # noqa: ARG001  (the key of the cache)
    """A copy button before and after its value. To render it anew for each of 1,000 rows takes a fifth of the page."""
    before, _value, after = copy_button("VALUE", "upload id").partition("VALUE")
    return before, after


def _parts(facts: Facts) -> str:
    number = formatting.count_text(facts.part_summary.count)
    if not facts.part_summary.missing:
        return number
    return format_html("{} {}", number, dot("bad", _("gap"), _("Part numbers are missing")))


def _last_activity(facts: Facts) -> str:
    at, undated = facts.part_summary.last_activity, facts.part_summary.undated
    if undated and not facts.is_recent:
        title = _("The store does not name a valid time for each part: whether someone is still sending is not known.")
        mark = dot("warn", _("not known"), title)
        cell = mark if at is None else format_html("{} {}", formatting.age_html(at), mark)
    elif at is None:
        cell = format_html('<span class="text-secondary">{}</span>', _("no parts"))
    elif facts.is_recent:
        title = _("A part arrived within the last hour: another program may still be sending this upload.")
        cell = format_html("{} {}", formatting.age_html(at), dot("warn", _("recent"), title))
    else:
        cell = formatting.age_html(at)
    if not facts.is_unlisted:
        return cell
    return format_html("{} {}", cell, dot("good", _("still there"), _("The store still lists the parts")))


# --- The columns ------------------------------------------------------------------------------------------------------

KEY = ListedColumn(
    heading=gettext_lazy("Key"), is_row_heading=True, cell=_key, field="Key", value=lambda upload: upload.key
)
UPLOAD_ID = ListedColumn(
    heading=gettext_lazy("Upload id"),
    css="nowrap",
    cell=_upload_id,
    field="UploadId",
    value=lambda upload: upload.upload_id,
)
INITIATED = ListedColumn(
    heading=gettext_lazy("Initiated (UTC)"),
    label=gettext_lazy("Initiated"),
    cell=lambda row: formatting.row_time_html(row.upload.initiated),
    field="Initiated",
    value=lambda upload: jsonapi.iso(upload.initiated),
)
INITIATOR = ListedColumn(
    heading=gettext_lazy("Initiator"),
    cell=lambda row: row.upload.initiator,
    field="Initiator",
    value=lambda upload: upload.initiator,
)
STORAGE_CLASS = ListedColumn(
    heading=gettext_lazy("Class"),
    cell=lambda row: row.upload.storage_class,
    field="StorageClass",
    value=lambda upload: upload.storage_class,
)
PARTS = FactColumn(heading=gettext_lazy("Parts"), css="text-num", cell=_parts)
BYTES = FactColumn(
    heading=gettext_lazy("Bytes"),
    css="text-num",
    cell=lambda facts: formatting.bytes_html(facts.part_summary.total_bytes),
)
LAST_ACTIVITY = FactColumn(heading=gettext_lazy("Last activity"), cell=_last_activity)

LISTED: tuple[ListedColumn, ...] = (KEY, UPLOAD_ID, INITIATED, INITIATOR, STORAGE_CLASS)
"""The columns that the listing fills, in their order on the page."""

FACTS: tuple[FactColumn, ...] = (PARTS, BYTES, LAST_ACTIVITY)
"""The columns that each row's own request fills. Until then, or if there are none to show, one cell spans them."""

COLUMNS: tuple[Column, ...] = (*LISTED, *FACTS)

TO_ABORT: tuple[ListedColumn, ...] = (KEY, UPLOAD_ID)
"""The listed columns of a selection to abort, of which only the names are known."""


# --- Rendering --------------------------------------------------------------------------------------------------------


def row_renderer(columns: Sequence[ListedColumn]) -> Callable[[ListedUpload], SafeString]:
    """A function that renders the listed cells of a row. What is the same in each of 1,000 rows is rendered once."""
    cells = [(column.cell, *column.tags()) for column in columns]

    def render(row: ListedUpload) -> SafeString:
        html = "".join(f"{opening}{conditional_escape(cell(row))}{closing}" for cell, opening, closing in cells)
        return mark_safe(html)  # noqa: S308  (tags by format_html, cells escaped)

    return render


def render_facts(facts: Facts) -> SafeString:
    """The cells of the fact columns."""
    cells = ((conditional_escape(column.cell(facts)), *column.tags()) for column in FACTS)
    return mark_safe("".join(f"{opening}{cell}{closing}" for cell, opening, closing in cells))  # noqa: S308  (as above)


def render_without_facts(label: StrOrPromise, content: str) -> SafeString:
    """One cell in place of all fact columns."""
    return format_html('<td colspan="{}" data-label="{}">{}</td>', len(FACTS), label, content)


def facts_later_renderer() -> Callable[[str, str, int], SafeString]:
    """A function that renders the cell that fetches its row's facts when it becomes visible, as one of its lane."""
    span, label, text = len(FACTS), FACTS[0].heading, _("view")

    def render(facts_url: str, detail_url: str, lane: int) -> SafeString:
        return format_html(
            '<td colspan="{}" data-label="{}" hx-get="{}" hx-trigger="revealed" hx-swap="outerHTML"'
            ' hx-sync="#lane-{}:queue all"><a class="text-secondary" href="{}">{}</a></td>',
            span,
            label,
            facts_url,
            lane,
            detail_url,
            text,
        )

    return render
