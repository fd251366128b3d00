"""OSS's XML: writes responses, and parses the part list of a Complete."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote
from xml.etree import ElementTree as ET

from tests.stores.oss import errors

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

Text = str | int | bool | datetime
Node = tuple[str, "Text | Iterable[Node]"]

# Characters that a parser would interpret. XML 1.0 cannot have other control characters at all, and a listing with one
# is not XML: the reference says "specify encoding-type".
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def document(root: Node) -> bytes:
    return (DECLARATION + _written(root)).encode(errors="replace")


def timestamp(moment: datetime) -> str:
    """As 2012-02-23T04:18:23.000Z: OSS has whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def encoder(encoding_type: str) -> Encoder:
    """The encoder for an encoding-type. Raises InvalidArgument for an unknown one."""
    if encoding_type not in ("", "url"):
        raise errors.bad_argument("encoding-type", encoding_type, "Invalid Encoding Method specified in Request.")
    return Encoder(encoding_type)


class Encoder:
    """Writes keys, prefixes, delimiters and markers unchanged or percent-encoded."""

    def __init__(self, encoding_type: str) -> None:
        self._type = encoding_type

    def __call__(self, name: str) -> str:
        return quote(name, safe="") if self._type else name

    @property
    def nodes(self) -> list[Node]:
        return [("EncodingType", self._type)] if self._type else []


def parse_complete(text: bytes) -> list[tuple[int, str]]:
    """Part numbers and ETags (without quotes) in the order of the list. Raises MalformedXML."""
    try:
        root = ET.fromstring(text)
        parts = [(int(_inner(part, "PartNumber")), _inner(part, "ETag").strip('"')) for part in root]
    except (ET.ParseError, ValueError):
        raise errors.bad_xml() from None
    if _local(root) != "CompleteMultipartUpload" or not parts or any(_local(part) != "Part" for part in root):
        raise errors.bad_xml()
    return parts


def parse_storage_class(text: bytes) -> str:
    """The StorageClass of a CreateBucketConfiguration, or ''. Raises MalformedXML or NotImplemented."""
    try:
        root = ET.fromstring(text)
    except ET.ParseError:
        raise errors.bad_xml() from None
    if _local(root) != "CreateBucketConfiguration":
        raise errors.bad_xml()
    for child in root:
        name, value = _local(child), (child.text or "").strip()
        if name != "StorageClass" and (name, value) != ("DataRedundancyType", "LRS"):
            raise errors.not_implemented(name)
    return _inner(root, "StorageClass", "")


def _inner(node: ET.Element, name: str, default: str | None = None) -> str:
    for child in node:
        if _local(child) == name:
            return (child.text or "").strip()
    if default is None:
        raise ValueError(name)
    return default


def _local(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]


def _written(node: Node, depth: int = 0) -> str:
    name, inner = node
    indent = "  " * depth
    if isinstance(inner, bool):
        return f"{indent}<{name}>{str(inner).lower()}</{name}>\n"
    if isinstance(inner, datetime):
        return f"{indent}<{name}>{timestamp(inner)}</{name}>\n"
    if isinstance(inner, str | int):
        return f"{indent}<{name}>{str(inner).translate(_ESCAPES)}</{name}>\n"
    children = "".join(_written(child, depth + 1) for child in inner)
    return f"{indent}<{name}>\n{children}{indent}</{name}>\n"
