"""Reads an XML document that is changed and written back, so that everything else in it stays as it was. Pure.

`xml_tree` reads lists, and leaves out what lists do not need. This module keeps names with their prefixes, attributes,
namespaces, the order of elements and all text. Only comments and processing instructions are lost. The document is as
hostile as any other: no DTD, and the same limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias
from xml.parsers import expat

from uploads.objectstore.errors import unreadable
from uploads.objectstore.received import document_text, is_exact
from uploads.objectstore.xml_tree import ATTRIBUTE, DECLARATION, MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS
from uploads.problems import Code

Content: TypeAlias = "tuple[Element | str, ...]"
Meaning: TypeAlias = "tuple[str, tuple[tuple[str, str], ...], str | tuple[Meaning, ...]]"

_TEXT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_IN_TEXT = str.maketrans(_TEXT_ESCAPES)
_IN_ATTRIBUTE = str.maketrans({**_TEXT_ESCAPES, '"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


@dataclass(frozen=True, slots=True)
class Element:
    """An element. `name` and the names of attributes are as in the document, with their prefixes."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()
    content: Content = ()

    @property
    def prefix(self) -> str:
        """The prefix of the name with its colon, or ''."""
        before, colon, _ = self.name.rpartition(":")
        return before + colon

    @property
    def local(self) -> str:
        return self.name.rpartition(":")[2]

    @property
    def elements(self) -> tuple[Element, ...]:
        return tuple(each for each in self.content if isinstance(each, Element))

    @property
    def text(self) -> str:
        """The text directly in the element."""
        return "".join(each for each in self.content if isinstance(each, str))

    def all(self, local: str) -> Iterator[Element]:
        return (each for each in self.elements if each.local == local)

    def first(self, local: str) -> Element | None:
        return next(self.all(local), None)

    def text_of(self, local: str) -> str | None:
        """The text of the first such element; None without one."""
        found = self.first(local)
        return None if found is None else found.text

    def replacing(self, old: Element, new: Sequence[Element]) -> Element:
        """The element with others in the place of one that it contains (the same object, not an equal one)."""
        content: list[Element | str] = []
        for each in self.content:
            content.extend(new if each is old else [each])
        return replace(self, content=tuple(content))

    def adding(self, *new: Element) -> Element:
        return replace(self, content=(*self.content, *new))


@dataclass(frozen=True, slots=True)
class LifecycleDocument:
    """The lifecycle configuration of a bucket as the store has it.

    `root` is None if the bucket has no rules. `size_rule` is what S3 says in a header about the smallest objects that
    transitions apply to; '' if the store says nothing.
    """

    root: Element | None
    size_rule: str = ""
    request_id: str = ""


def read_document(body: bytes, root: str) -> Element:
    """The root of a document, whose local name is `root`. Raises UnreadableResponse, also if a text is not exact."""
    if not body.strip():
        raise unreadable(Code.RESPONSE_EMPTY)
    text = document_text(body).lstrip()
    if DECLARATION.search(text):
        raise unreadable(Code.RESPONSE_HAS_DTD)
    if sum(1 for _ in ATTRIBUTE.finditer(text)) > MAX_ATTRIBUTES:
        raise unreadable(Code.RESPONSE_TOO_COMPLEX)
    if not is_exact(text):
        raise unreadable(Code.RESPONSE_NOT_XML, detail="undecodable bytes")
    try:
        found = _read(text)
    except expat.ExpatError as error:
        raise unreadable(Code.RESPONSE_NOT_XML, detail=str(error)) from error
    if found.local != root:
        raise unreadable(Code.RESPONSE_ELEMENT_UNEXPECTED, found=found.local[:40], expected=root)
    return found


def _read(text: str) -> Element:
    contents: list[list[Element | str]] = [[]]
    opened: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    count = 0

    def start(name: str, attributes: list[str]) -> None:
        nonlocal count
        count += 1
        if len(opened) >= MAX_DEPTH or count > MAX_ELEMENTS:
            raise unreadable(Code.RESPONSE_TOO_COMPLEX)
        opened.append((name, tuple(zip(attributes[::2], attributes[1::2], strict=True))))
        contents.append([])

    def end(_name: str) -> None:
        name, attributes = opened.pop()
        element = Element(name, attributes, tuple(contents.pop()))
        contents[-1].append(element)

    def characters(piece: str) -> None:
        contents[-1].append(piece)

    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.Parse(text, True)
    return next(each for each in contents[0] if isinstance(each, Element))


def write(element: Element) -> str:
    """The element as XML, with the text of its content unchanged."""
    attributes = "".join(f' {name}="{value.translate(_IN_ATTRIBUTE)}"' for name, value in element.attributes)
    inner = "".join(each.translate(_IN_TEXT) if isinstance(each, str) else write(each) for each in element.content)
    return f"<{element.name}{attributes}>{inner}</{element.name}>"


def write_document(root: Element) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>{write(root)}'.encode()


def namespaces_of(element: Element, outer: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The namespaces that are declared in an element and around it, by prefix; '' is that of names without one."""
    declared = {
        name.partition(":")[2]: value
        for name, value in element.attributes
        if name == "xmlns" or name.startswith("xmlns:")
    }
    return {**(outer or {}), **declared} if declared else outer or {}


def meaning(element: Element, outer: Mapping[str, str] | None = None, own: str | None = None) -> Meaning:
    """What the element says: names by their namespaces, and without order and the space between elements.

    `own` is the namespace that is not named; without it, that of the element. Two documents with the same meaning are
    equal here, whatever prefixes and order they have. The text of an element without others is compared exactly.
    """
    namespaces = namespaces_of(element, outer)
    namespace = _namespace(element.name, namespaces)
    own = namespace if own is None else own
    name = element.local if namespace == own else f"{{{namespace}}}{element.local}"
    attributes = sorted(
        (f"{{{namespaces.get(each.rpartition(':')[0], '')}}}{each.rpartition(':')[2]}" if ":" in each else each, value)
        for each, value in element.attributes
        if each != "xmlns" and not each.startswith("xmlns:")
    )
    elements = element.elements
    if not elements:
        return name, tuple(attributes), element.text
    inner = [meaning(each, namespaces, own) for each in elements]
    if mixed := element.text.strip():
        inner.append(("#text", (), mixed))
    return name, tuple(attributes), tuple(sorted(inner, key=repr))


def _namespace(name: str, namespaces: Mapping[str, str]) -> str:
    return namespaces.get(name.rpartition(":")[0], "")
