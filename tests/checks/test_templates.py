"""The checks of templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checks.report import Finding
from checks.templates import literal_urls, long_lines, untranslated


def found(check: Callable[[Path], Iterator[Finding]], tmp_path: Path, source: str) -> list[tuple[int, str]]:
    path = tmp_path / "template.html"
    path.write_text(source)
    return [(each.line, each.text) for each in check(path)]


def test_long_lines_are_found(tmp_path: Path) -> None:
    assert found(long_lines, tmp_path, "x" * 160 + "\n" + "x" * 161) == [(2, "161 characters")]


@pytest.mark.parametrize(
    "source", ['<a href="/stores/">', '<form action="/logout/">', '{% empty "icon" "/stores/new/" %}']
)
def test_literal_urls_are_found(tmp_path: Path, source: str) -> None:
    assert found(literal_urls, tmp_path, source)


@pytest.mark.parametrize("source", ['<a href="{% url "stores" %}">', '<a href="{{ link }}">', "{% icon 'trash' %}"])
def test_named_urls_are_not_found(tmp_path: Path, source: str) -> None:
    assert not found(literal_urls, tmp_path, source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>\nPlain text</p>", "Plain text"),
        ('<a title="Plain text">', "Plain text"),
        ('{% empty "icon" "Plain text" %}', "Plain text"),
        ('{{ name|default:"Plain text" }}', "Plain text"),
        ("part{{ count|pluralize }}", "{{ count|pluralize }}"),
    ],
)
def test_untranslated_texts_are_found(tmp_path: Path, source: str, text: str) -> None:
    assert text in [each for _, each in found(untranslated, tmp_path, source)]


@pytest.mark.parametrize(
    "source",
    [
        '<p>{% translate "Plain text" %}</p>',
        "{% blocktranslate count n=n %}{{ n }} part{% plural %}{{ n }} parts{% endblocktranslate %}",
        '{% empty "icon" _("Plain text") link _("Plain text") %}',
        '{% column _("Size") "text-num fit" %}',
        '{% if state == "done" and state != "failed" %}{% endif %}',
        "{# A comment #}{% comment %}Another comment{% endcomment %}",
        '<code>NoSuchKey</code><span class="key">a key</span><b translate="no">admin</b>',
        "<dt>ETag</dt><dd>{{ etag }} · 12</dd>",
    ],
)
def test_translated_texts_and_data_are_not_found(tmp_path: Path, source: str) -> None:
    assert found(untranslated, tmp_path, source) == []
