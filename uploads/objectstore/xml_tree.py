"""Parses the XML of responses to a tree. Pure. Everything that is read is considered hostile.

DTDs, and with them custom entities, are rejected; depth and the numbers of elements, attributes and replaced characters
are limited; namespaces are ignored. The time and memory for a document are proportional to its size.
XML 1.0 cannot contain control characters, but some stores send them in keys (Ceph: `&#x01;`), and a strict parser then
rejects the whole page. Such characters are replaced before parsing and restored afterwards, so that keys stay exact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias
from xml.parsers import expat

from uploads.objectstore.errors import UnreadableResponse, unreadable
from uploads.objectstore.received import clean_text, document_text, is_exact, number_of
from uploads.objectstore.xml_rows import read_alike
from uploads.problems import Code

Fields: TypeAlias = "list[tuple[str, Node]]"
Node: TypeAlias = "str | Fields"

MAX_DEPTH = 16
MAX_ELEMENTS = 200_000
"""Elements that are kept. A page of 1,000 uploads has about 13,000 elements, 10,000 buckets have about 50,000."""

MAX_ALL_ELEMENTS = 1_000_000
"""Elements that are read: about a second."""

ROWS = ("Upload", "CommonPrefixes", "Part")
MAX_ROWS = 10_000
"""Rows of one kind that are kept of a page. A page that was requested has at most 1,000; some stores send all parts."""

DROPPED = "#"
"""Starts the name of a field that no document has, `#Upload`: the number of rows of the root that were not kept."""

MAX_ATTRIBUTES = 100_000
"""No operation needs attributes; some stores declare a namespace in each row."""

MAX_REPLACED = 500_000
"""Characters and references of a page that are replaced before parsing: about half a second."""

_SIGNS: Mapping[str, frozenset[str]] = {
    "ListAllMyBucketsResult": frozenset({"Buckets"}),
    "BucketInfo": frozenset({"Bucket"}),
    "ListMultipartUploadsResult": frozenset({"Upload", "MaxUploads", "UploadIdMarker", "NextUploadIdMarker"}),
    "ListPartsResult": frozenset({"Part", "MaxParts", "PartNumberMarker", "NextPartNumberMarker"}),
    "InitiateMultipartUploadResult": frozenset({"UploadId"}),
    "CompleteMultipartUploadResult": frozenset({"Key"}),
}
"""Roots, with fields that prove which operation a response with another root is of."""

DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
ATTRIBUTE = re.compile(r"=[ \t\r\n]*[\"']")
_MARK = "\ue000"
"""Starts a replaced character: its code follows as six hex digits. The mark itself is replaced too."""

_REPLACED = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue001-\ufffd\U00010000-\U0010ffff]"
    "|&#(?:[xX](?=[0-9a-fA-F])0*+([0-9a-fA-F]{0,8})|(?=[0-9])0*+([0-9]{0,8}));"
)
_MARKED = re.compile(_MARK + "([0-9a-f]{6})")
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class DirtyTextError(ValueError):
    """A text whose exact characters are not known."""


def parse(body: bytes, root: str) -> Fields:
    """The fields of the document's root. Raises UnreadableResponse.

    Some servers give the root another name (rclone: `InitiateMultipartUpload`), and SDKs do not check it. Such a
    document is accepted if it has a field that proves what it is, and if no other operation has that root.
    """
    name, node = parse_any(body)
    fields = node if isinstance(node, list) else []
    if name == root:
        return fields
    signs = _SIGNS.get(root, frozenset())
    foreign = {each.removesuffix("Result") for each in _SIGNS if each != root} | {"Error"}
    if name.removesuffix("Result") not in foreign and any(each in signs for each, _ in fields):
        return fields
    raise unreadable(Code.RESPONSE_ELEMENT_UNEXPECTED, found=clean_text(name, 40), expected=root)


def parse_any(body: bytes) -> tuple[str, Node]:
    """The root's name and content. UnreadableResponse if empty, not XML, truncated, with a DTD or nested too deeply."""
    if not body.strip():
        raise unreadable(Code.RESPONSE_EMPTY)
    text = document_text(body).lstrip()
    if DECLARATION.search(text):
        raise unreadable(Code.RESPONSE_HAS_DTD)
    if sum(1 for _ in ATTRIBUTE.finditer(text)) > MAX_ATTRIBUTES:
        raise unreadable(Code.RESPONSE_TOO_COMPLEX)
    try:
        return _read_alike(text) or _read(text, str)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        cleaned = _without_illegal(text)
        if cleaned == text:
            raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error
    try:
        return _read(cleaned, _restored)
    except expat.ExpatError as error:
        raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error


def _read_alike(text: str) -> tuple[str, Node] | None:
    """The document as `_read` returns it, if it consists of many rows that look alike; None if it has to be read."""
    if text.count("<") > MAX_ELEMENTS or not (text.isprintable() or not ILLEGAL.search(text)):
        return None
    try:
        return read_alike(text, ROWS, MAX_ROWS, lambda rest: _read(rest, str))
    except (expat.ExpatError, UnreadableResponse):
        return None  # `_read` says what is wrong with the whole document.


def _read(text: str, restore: Callable[[str], str]) -> tuple[str, Node]:
    """Elements as (name, text) or (name, fields), without the text between elements. Closures are faster here."""
    root: Fields = []
    stack, texts, elements, kept, before_row = [root], list[str](), 0, 0, 0
    rows_of = Counter[str]()

    def start(_name: str, _attributes: object) -> None:
        nonlocal elements, kept, before_row
        elements += 1
        if len(stack) == 2:
            before_row = kept
        kept += 1
        if len(stack) > MAX_DEPTH or kept > MAX_ELEMENTS or elements > MAX_ALL_ELEMENTS:
            raise unreadable(Code.RESPONSE_TOO_COMPLEX)
        stack.append([])
        texts.clear()

    def end(name: str) -> None:
        nonlocal kept
        node: Node = stack.pop() or restore("".join(texts))
        texts.clear()
        name = name.rpartition(":")[2] if ":" in name else name
        if len(stack) == 2 and name in ROWS:
            rows_of[name] += 1
            if rows_of[name] > MAX_ROWS:
                kept = before_row
                return
        stack[-1].append((name, node))

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    parser.Parse(text, True)
    name, node = root[0]
    if isinstance(node, list):
        node += [(DROPPED + row, str(number - MAX_ROWS)) for row, number in rows_of.items() if number > MAX_ROWS]
    return name, node


def _without_illegal(text: str) -> str:
    """The text with illegal characters replaced by the mark and six hex digits, in one pass."""
    number = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal number
        number += 1
        if number > MAX_REPLACED:
            raise unreadable(Code.RESPONSE_TOO_COMPLEX)
        code = _code_of(match)
        legal = code <= 0x10FFFF and chr(code) != _MARK and not ILLEGAL.fullmatch(chr(code))
        return match[0] if legal else f"{_MARK}{min(code, 0xFFFFFF):06x}"

    return _REPLACED.sub(replace, text)


def _code_of(match: re.Match[str]) -> int:
    """The code of a character or of a reference to one."""
    if len(match[0]) == 1:
        return ord(match[0])
    return int("0" + match[1], 16) if match[1] is not None else int("0" + match[2])


def _restored(text: str) -> str:
    return _MARKED.sub(lambda match: _character(int(match[1], 16)), text) if _MARK in text else text


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\0"


# Fields


def raw(fields: Fields, name: str) -> str:
    """The text of the last field of that name as it was sent, or ''. For names, which must be exact: see `exact`."""
    found = ""
    for each, node in fields:
        if each == name and isinstance(node, str):
            found = node
    return found


def get(fields: Fields, name: str) -> str:
    """The same as a clean text, to be shown and stored."""
    return clean_text(raw(fields, name))


def inner_text(node: Node, *names: str) -> str:
    """The first of these fields of a nested element, such as Owner, that is not empty."""
    if isinstance(node, str):
        return ""
    found = dict(node)
    for name in names:
        text = found.get(name, "")
        if text and (shown := clean_text(text) if isinstance(text, str) else get(node, name)):
            return shown
    return ""


def rows(fields: Fields, name: str) -> Iterator[Fields]:
    return (node for each, node in fields if each == name and isinstance(node, list))


def texts(fields: Fields, name: str) -> Iterator[str]:
    return (node for each, node in fields if each == name and isinstance(node, str) and node)


def part_number_of(fields: Fields, name: str) -> int:
    """The number of a part, from 1; UnreadableResponse if it is none."""
    text = get(fields, name)
    number = number_of(text, 1, 2**31 - 1)
    if number is None:
        raise unreadable(Code.RESPONSE_NUMBER_INVALID, element=name, text=text[:40])
    return number


def exact(text: str, limit: int) -> str:
    """The text, if it can be a name of at most `limit` bytes in requests; DirtyTextError if it is not exact."""
    if not is_exact(text) or len(text) > limit or (not text.isascii() and len(text.encode()) > limit):
        raise DirtyTextError
    return text
