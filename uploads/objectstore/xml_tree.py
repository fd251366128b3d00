"""Parses the XML of responses to a tree. Pure. Everything that is read is considered hostile.

DTDs, and with them custom entities, are rejected; depth and number of elements are limited; namespaces are ignored.
XML 1.0 cannot contain control characters, but some stores send them in keys (Ceph: `&#x01;`), and a strict parser then
rejects the whole page. Such characters are replaced before parsing and restored afterwards, so that keys stay exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeAlias
from xml.parsers import expat

from uploads.objectstore.errors import unreadable
from uploads.problems import Code

Fields: TypeAlias = "list[tuple[str, Node]]"
Node: TypeAlias = "str | Fields"

MAX_DEPTH = 16
MAX_ELEMENTS = 200_000
"""A page of 1,000 uploads has about 13,000 elements."""

_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,8}));")
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIRTY = re.compile("[\0\ud800-\udfff]")


class DirtyTextError(ValueError):
    """A text whose exact characters are not known."""


def parse(body: bytes, root: str) -> Fields:
    """The fields of the document's root, which must have the given name. Raises UnreadableResponse."""
    name, node = parse_any(body)
    if name != root:
        raise unreadable(Code.RESPONSE_ELEMENT_UNEXPECTED, found=name[:40], expected=root)
    return node if isinstance(node, list) else []


def parse_any(body: bytes) -> tuple[str, Node]:
    """The root's name and content. UnreadableResponse if empty, not XML, truncated, with a DTD or nested too deeply."""
    if not body.strip():
        raise unreadable(Code.RESPONSE_EMPTY)
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff").lstrip()
    if _DECLARATION.search(text):
        raise unreadable(Code.RESPONSE_HAS_DTD)
    try:
        return _read(text, str)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        cleaned, restore = _escape_illegal(text)
        if cleaned == text:
            raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error
    try:
        return _read(cleaned, restore)
    except expat.ExpatError as error:
        raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error


def _read(text: str, restore: Callable[[str], str]) -> tuple[str, Node]:
    """Elements as (name, text) or (name, fields), without the text between elements. Closures are faster here."""
    root: Fields = []
    stack, texts, elements = [root], list[str](), 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal elements
        elements += 1
        if len(stack) > MAX_DEPTH or elements > MAX_ELEMENTS:
            raise unreadable(Code.RESPONSE_TOO_COMPLEX)
        stack.append([])
        texts.clear()

    def end(name: str) -> None:
        node: Node = stack.pop() or restore("".join(texts))
        texts.clear()
        stack[-1].append((name.rpartition(":")[2] if ":" in name else name, node))

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.Parse(text, True)
    return root[0]


def _escape_illegal(text: str) -> tuple[str, Callable[[str], str]]:
    """The text with illegal characters replaced by a private one and six hex digits, and a function that undoes it."""
    mark = _unused_mark(text)

    def name(match: re.Match[str]) -> str:
        return f"{mark}{ord(match[0]):06x}"

    def name_reference(match: re.Match[str]) -> str:
        code = int(match[1], 16) if match[1] else int(match[2])
        legal = code <= 0x10FFFF and not ILLEGAL.fullmatch(chr(code))
        return match[0] if legal else f"{mark}{min(code, 0xFFFFFF):06x}"

    restore = re.compile(mark + "([0-9a-f]{6})")
    cleaned = _REFERENCE.sub(name_reference, ILLEGAL.sub(name, text))
    return cleaned, lambda found: restore.sub(lambda match: _character(int(match[1], 16)), found)


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\0"


def _unused_mark(text: str) -> str:
    """A private-use character that the text does not contain, neither directly nor as a reference."""
    used = {chr(int(a, 16) if a else int(b)) for a, b in _REFERENCE.findall(text) if _small(a, b)}
    return next(mark for mark in map(chr, range(0xE000, 0xF8FF)) if mark not in text and mark not in used)


def _small(hexadecimal: str, decimal: str) -> bool:
    return (int(hexadecimal, 16) if hexadecimal else int(decimal)) <= 0x10FFFF


# Fields


def get(fields: Fields, name: str) -> str:
    """The text of the last field of that name, or ''."""
    found = ""
    for each, node in fields:
        if each == name and isinstance(node, str):
            found = node
    return found


def inner_text(node: Node, *names: str) -> str:
    """The first of these fields of a nested element, such as Owner, that is not empty."""
    if isinstance(node, str):
        return ""
    return next(filter(None, (get(node, name) for name in names)), "")


def rows(fields: Fields, name: str) -> Iterator[Fields]:
    return (node for each, node in fields if each == name and isinstance(node, list))


def texts(fields: Fields, name: str) -> Iterator[str]:
    return (node for each, node in fields if each == name and isinstance(node, str) and node)


def time_of(text: str) -> datetime | None:
    """An ISO 8601 time as aware UTC, or None."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def number_of(fields: Fields, name: str, default: int | None = None) -> int:
    text = get(fields, name).strip()
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError:
        raise unreadable(Code.RESPONSE_NUMBER_INVALID, element=name, text=text[:40]) from None


def exact(text: str) -> str:
    """The text, if it can be a key; DirtyTextError if it contains NUL or was not UTF-8."""
    if not text.isprintable() and _DIRTY.search(text):
        raise DirtyTextError
    return text


def is_exact(text: str) -> bool:
    return not _DIRTY.search(text)
