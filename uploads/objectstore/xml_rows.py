"""Reads a document of many rows that look alike, such as a page of 1,000 uploads, in half of the parser's time. Pure.

Expat calls Python for each element, of which such a page has 13,000. Here the parser reads the document without its
rows. These are read by patterns, one for each kind of row, which is learnt from the first of its kind. The result is
what the parser would return. A document that is not plain, or not well-formed, has none, and is left to the parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from uploads.objectstore.xml_tree import Fields, Node

Read: TypeAlias = "Callable[[str], tuple[str, Node]]"
"""The parser. It returns the name and the content of the root."""

Template: TypeAlias = "list[tuple[str, int | Template]]"
"""The elements of a row: each name with the number of its text in a match, or with the elements in it."""

Kind: TypeAlias = "tuple[re.Pattern[str], Template]"

LEAST_ROWS = 10
"""With fewer rows, the parser is as fast."""

MAX_KINDS = 8
"""Kinds of rows in a document. Stores leave out elements that have no value, such as the owner."""

MAX_TAGS = 100
"""Tags of a row. The rows of known stores have at most 26."""

_PLACE = "PartwayRows"
"""The element that stands for all rows in the document that the parser reads."""

_TAG = re.compile("</[A-Za-z0-9]+>|<([A-Za-z][A-Za-z0-9]*)( ?/)?>")
_BETWEEN, _TEXT, _NO_TEXT = r"[ \t\n]*+", "([^<]*+)", "()"
_REFERENCE = re.compile("&(amp|lt|gt|quot|apos);")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class _NotPlainError(Exception):
    """The rows have something that only the parser reads."""


def read_alike(text: str, names: Iterable[str], most_rows: int, read: Read) -> tuple[str, Node] | None:
    """What `read` returns for the document; None if it has not so many rows of one of these names, or is not plain.

    The text has no characters that XML does not allow. The exceptions of `read` are raised, about other documents.
    """
    name = next((each for each in names if LEAST_ROWS <= text.count(f"<{each}>") <= most_rows), None)
    if name is None or "<!" in text or "]]>" in text or "\r" in text or _PLACE in text:
        return None
    start, end = text.index(f"<{name}>"), text.rfind(f"</{name}>") + len(f"</{name}>")
    try:
        rows = list(_rows(text[start:end], name, read))
    except _NotPlainError:
        return None
    root, fields = read(f"{text[:start]}<{_PLACE}/>{text[end:]}")
    if isinstance(fields, str) or (_PLACE, "") not in fields:
        return None  # The rows are not directly in the root.
    at = fields.index((_PLACE, ""))
    return root, [*fields[:at], *rows, *fields[at + 1 :]]


def _rows(text: str, name: str, read: Read) -> Iterator[tuple[str, Node]]:
    """The rows that the text consists of."""
    kinds: list[Kind] = []
    closing, has_references, at = f"</{name}>", "&" in text, 0
    while at < len(text) or not kinds:
        for pattern, template in kinds:
            if match := pattern.match(text, at):
                texts = match.groups()
                yield name, _filled(template, [*map(_resolved, texts)] if has_references else texts)
                at = match.end()
                break
        else:
            if len(kinds) == MAX_KINDS:
                raise _NotPlainError
            kinds.append(_learnt(text[at : text.find(closing, at) + len(closing)], read))


def _filled(template: Template, texts: Sequence[str]) -> Fields:
    return [(name, texts[each] if isinstance(each, int) else _filled(each, texts)) for name, each in template]


def _resolved(text: str) -> str:
    """The text with the characters that its references name."""
    if "&" not in text:
        return text
    if text.count("&") != len(_REFERENCE.findall(text)):
        raise _NotPlainError
    return _REFERENCE.sub(lambda match: _CHARACTERS[match[1]], text)


def _learnt(row: str, read: Read) -> Kind:
    """The rows that have the same elements as this one. The parser reads it with numbers in place of its texts."""
    pattern, numbered, texts = "", "", 0
    tags = re.findall("<[^<>]*>", row)
    for tag, following in zip(tags, [*tags[1:], ""], strict=True):
        found = _TAG.fullmatch(tag)
        if found is None or len(tags) > MAX_TAGS:
            raise _NotPlainError
        is_empty, has_text = bool(found[2]), following == f"</{found[1]}>"
        pattern += tag + (_TEXT if has_text else _NO_TEXT + _BETWEEN if is_empty else _BETWEEN)
        numbered += f"<{found[1]}>{texts}</{found[1]}>" if is_empty else f"{tag}{texts}" if has_text else tag
        texts += is_empty or has_text
    _, fields = read(numbered)
    if isinstance(fields, str):
        raise _NotPlainError
    return re.compile(pattern), _template(fields)


def _template(fields: Fields) -> Template:
    return [(name, int(each) if isinstance(each, str) else _template(each)) for name, each in fields]
