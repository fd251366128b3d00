"""The guide to multipart uploads, docs/guide.md, as a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    from markdown_it.token import Token

CLASSES = {"table_open": "table table-vcenter table-cards", "code_block": "guide-code", "fence": "guide-code"}
"""The classes of elements, by the type of their token."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the table of contents, and its anchor."""

    anchor: str
    title: str


@dataclass(frozen=True, slots=True)
class Guide:
    title: str
    sections: tuple[Section, ...]
    html: SafeString


@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """The page. It shows no data, so every user may read it."""
    return render(request, "guide/guide.html", {"guide": read_guide()})


@cache
def read_guide() -> Guide:
    """The text is ours and does not change while a process runs. HTML in it is shown as text."""
    return parse((settings.BASE_DIR / "docs" / "guide.md").read_text())


def parse(text: str) -> Guide:
    """The page of a Markdown text: its first heading is the title, and each heading has an anchor."""
    from markdown_it import MarkdownIt  # For this page only, which is rendered once.

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    title, sections = "", []
    for opening, content in pairwise(tokens):
        if opening.type in CLASSES:
            opening.attrJoin("class", CLASSES[opening.type])
        if opening.type != "heading_open":
            continue
        section = Section(anchor_of(content.content), content.content)
        opening.attrSet("id", section.anchor)
        if opening.tag == "h1":
            title = section.title
        elif opening.tag == "h2":
            sections.append(section)
    _label_cells(tokens)
    html = parser.renderer.render(_without_title(tokens), parser.options, {})
    return Guide(title, tuple(sections), mark_safe(_scrolling(html)))  # noqa: S308 - from our own file, without HTML


def anchor_of(title: str) -> str:
    """The anchor of a heading, as code hosts make it: `The three steps` is `the-three-steps`."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _label_cells(tokens: Sequence[Token]) -> None:
    """Each cell says the heading of its column, for narrow screens, where rows are cards."""
    headings: list[str] = []
    column = 0
    for opening, content in pairwise(tokens):
        match opening.type:
            case "table_open":
                headings = []
            case "tr_open":
                column = 0
            case "th_open":
                headings.append(content.content)
            case "td_open":
                if column:
                    opening.attrSet("data-label", headings[column])
                column += 1


def _without_title(tokens: Sequence[Token]) -> Sequence[Token]:
    """The page shows the first heading itself."""
    return tokens[3:] if tokens and tokens[0].tag == "h1" else tokens


def _scrolling(html: str) -> str:
    """Tables scroll on a narrow screen, and do not widen the page."""
    return html.replace("<table ", '<div class="table-responsive"><table ').replace("</table>", "</table></div>")
