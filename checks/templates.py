"""`python -m checks.templates`: lines that are too long, literal URLs and untranslated text in templates."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from checks.report import PROJECT, Finding, report

ROOT = PROJECT / "templates"
LONGEST_LINE = 160

LITERAL_URL = re.compile(r"""(?:href|action|src|hx-get|hx-post)=["']/|["'=]/[a-z][a-z-]*/""")
TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
TRANSLATED_BLOCK = re.compile(r"\{%\s*blocktrans(?:late)?\b.*?\{%\s*endblocktrans(?:late)?\s*%\}", re.DOTALL)
COMMENT_BLOCK = re.compile(r"\{%\s*comment\b.*?\{%\s*endcomment\s*%\}", re.DOTALL)
PLURAL_GLUE = re.compile(r"\|pluralize\b")
ARGUMENT = re.compile(r'(_\()?"([^"]*)"')
READS_LIKE_TEXT = re.compile(r"[A-Z]|.*[A-Za-z]\s")
CLASSES = re.compile(r"[a-z0-9]+-[a-z0-9-]*(?: [a-z0-9-]+)*")
NO_TEXT_TAGS = re.compile(
    r"\{%\s*(?:translate|trans|blocktranslate|blocktrans|url|static|include|extends|load|copy_button)\b"
)
WORD = re.compile(r"[A-Za-z]{2,}")

TEXT_ATTRIBUTES = {"title", "aria-label", "placeholder", "alt", "data-label", "label"}
DATA_CLASSES = {"key", "mono"}
DATA_ELEMENTS = {"code", "script", "style"}
NAMES = {
    "AES256",
    "CRC",
    "ETag",
    "GET",
    "HEAD",
    "HTTP",
    "HTTPS",
    "MD5",
    "OSS",
    "Partway",
    "PutObject",
    "SHA",
    "URL",
    "UTC",
}
"""Names that are the same in every language."""


def main() -> int:
    templates = sorted(ROOT.rglob("*.html"))
    checks = {
        "Template lines over 160 characters": long_lines,
        "Literal URLs in templates": literal_urls,
        "Untranslated text in templates": untranslated,
    }
    return max(report(rule, (each for path in templates for each in find(path))) for rule, find in checks.items())


def long_lines(path: Path) -> Iterator[Finding]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if len(line) > LONGEST_LINE:
            yield Finding(path, number, f"{len(line)} characters")


def literal_urls(path: Path) -> Iterator[Finding]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for match in LITERAL_URL.finditer(line):
            yield Finding(path, number, line[match.start() : match.start() + 60])


# --- Texts ------------------------------------------------------------------------------------------------------------


def untranslated(path: Path) -> Iterator[Finding]:
    source = _without(TRANSLATED_BLOCK, _without(COMMENT_BLOCK, path.read_text()))
    for tag in TAG.finditer(source):
        line = source.count("\n", 0, tag.start()) + 1
        yield from (Finding(path, line, text) for text in _texts_of_tag(tag[0]))
    parser = _Texts()
    parser.feed(_without(TAG, source))
    parser.close()
    yield from (Finding(path, line, text) for line, text in parser.found)


def _without(pattern: re.Pattern[str], source: str) -> str:
    """The source without the matches; lines keep their numbers."""
    return pattern.sub(lambda match: "\n" * match[0].count("\n"), source)


def _texts_of_tag(tag: str) -> Iterator[str]:
    """Texts that a tag or variable holds and no `_("...")` translates."""
    if PLURAL_GLUE.search(tag):
        yield tag
    if not tag.startswith("{#") and not NO_TEXT_TAGS.match(tag):
        yield from (text for translated, text in ARGUMENT.findall(tag) if not translated and _is_argument_text(text))


def _is_argument_text(text: str) -> bool:
    """Whether a string in a tag reads like text: it has a space or starts with a capital letter."""
    return bool(READS_LIKE_TEXT.match(text)) and not CLASSES.fullmatch(text) and _is_text(text)


def _is_text(text: str) -> bool:
    return any(word not in NAMES for word in WORD.findall(text))


class _Texts(HTMLParser):
    """Collects texts between elements and in attributes that people read."""

    VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []
        self._open: list[tuple[str, bool]] = []
        """Open elements, and whether their text is data."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        for name in TEXT_ATTRIBUTES & values.keys():
            self._note(values[name])
        if tag not in self.VOID:
            self._open.append((tag, self._is_data(tag, values)))

    @staticmethod
    def _is_data(tag: str, values: dict[str, str]) -> bool:
        classes = set(values.get("class", "").split())
        return tag in DATA_ELEMENTS or bool(classes & DATA_CLASSES) or values.get("translate") == "no"

    def handle_endtag(self, tag: str) -> None:
        # Branches of a template may close an element twice.
        places = [place for place, (name, _) in enumerate(self._open) if name == tag]
        if places:
            del self._open[places[-1] :]

    def handle_data(self, data: str) -> None:
        if not any(is_data for _, is_data in self._open):
            self._note(data)

    def _note(self, text: str) -> None:
        if _is_text(text):
            self.found.append((self.getpos()[0], " ".join(text.split())[:100]))


if __name__ == "__main__":
    sys.exit(main())
