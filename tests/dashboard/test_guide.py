"""The guide: docs/guide.md as a page, and the links to it."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.test import Client

from dashboard.guide import anchor_of, parse, read_guide
from tests.dashboard.pages import Page
from uploads.objectstore.providers import PROVIDERS

GUIDE: Path = settings.BASE_DIR / "docs" / "guide.md"


def test_page_has_the_whole_text(operator_client: Client) -> None:
    page = Page(operator_client.get("/guide/"))
    assert page.status == 200
    assert "style=" not in page.text
    assert page.text.count("<h1") == 1
    for text in (
        "InvalidDigest",
        "The same part number replaces the part",
        "upload-id-marker",
        "InitiateMultipartUpload",
    ):
        assert text in page.words
    assert page.text.count("<pre>") == GUIDE.read_text().count("```") // 2
    assert '<div class="table-responsive"><table class="table table-vcenter table-cards">' in page.text
    assert page.text.count("<td>") == GUIDE.read_text().count("\n| ") - page.text.count("<thead>"), "one for each row"
    assert '<td data-label="on the page">' in page.text


def test_every_link_inside_the_guide_leads_to_a_heading() -> None:
    """The anchors are those that code hosts give to headings, so that the links work there too."""
    text = GUIDE.read_text()
    anchors = {anchor_of(title) for title in re.findall(r"^##+ (.+)$", text, re.MULTILINE)}
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert {link.removeprefix("#") for link in links} <= anchors
    assert all(f'id="{anchor}"' in read_guide().html for anchor in anchors)


def test_every_link_to_the_guide_leads_to_a_heading() -> None:
    links = [
        anchor
        for path in (settings.BASE_DIR / "templates").rglob("*.html")
        for anchor in re.findall(r'{% url "guide" %}#([\w-]+)', path.read_text())
    ]
    assert {"create", "parts", "complete", "list-the-uploads-of-a-bucket"} <= set(links)
    assert all(f'id="{anchor}"' in read_guide().html for anchor in links)


def test_html_in_the_text_is_shown_as_text() -> None:
    guide = parse("# Title\n\n## One <b>\n\n<script>alert(1)</script> [x](javascript:alert(1))\n")
    assert guide.title == "Title"
    assert "<script" not in guide.html
    assert "href=" not in guide.html
    assert "Title" not in guide.html


def test_limits_are_those_of_the_profiles() -> None:
    text = GUIDE.read_text()
    assert (PROVIDERS["aws"].min_part_size, PROVIDERS["aws"].max_parts) == (5 * 1024**2, 10_000)
    assert "| smallest part, except for the last one | 5 MiB | 100 KB |" in text
    assert PROVIDERS["oss"].min_part_size in (100_000, 100 * 1024)
