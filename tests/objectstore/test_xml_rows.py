"""Documents of many rows that look alike are read without the parser, and exactly as the parser reads them."""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uploads.objectstore import xml, xml_tree
from uploads.objectstore.errors import UnreadableResponse
from uploads.objectstore.xml_tree import MAX_ROWS, Node

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/">'
TAIL = "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListMultipartUploadsResult>"


def row(key: str = "a", inner: str = "<Initiator><ID>i</ID><DisplayName/></Initiator>", name: str = "Upload") -> str:
    return f"<{name}><Key>{key}</Key><UploadId>u</UploadId>{inner}</{name}>"


def page(*rows: str) -> str:
    """A page with enough rows, of which these are the last."""
    return f"{HEAD}<IsTruncated>false</IsTruncated>{row() * 10}{''.join(rows)}{TAIL}"


def by_parser(text: str) -> tuple[str, Node] | None:
    try:
        return xml_tree._read(text, str)
    except (expat.ExpatError, UnreadableResponse):
        return None


ELEMENTS = st.sampled_from(
    ["Key", "Owner", "ID", "a", "Upload", "CommonPrefixes", "x:Key", "PartwayRows", 'Key a="b"', "Key "]
)
PLAIN = ["", "a", " ", "\n", "a&amp;b", "&lt;", "&quot;e&quot;", "a>b", "日本", "\ue000", "\xa0", "<b/>", "<b />"]
ODD = ["&#10;", "&nbsp;", "&", "]]>", "<!-- c -->", "\r", "<![CDATA[<b>]]>", "<?pi?>", "\x01", "\udcff"]
TEXTS = st.sampled_from([*PLAIN, *PLAIN, *ODD, "</Upload>", "<Upload>"])
TREES = st.recursive(
    TEXTS,
    lambda inner: st.tuples(ELEMENTS, st.lists(inner, max_size=4)).map(
        lambda each: f"<{each[0]}>{''.join(each[1])}</{each[0].split()[0]}>"
    ),
    max_leaves=8,
)
ROWS = st.builds(row, TEXTS, TREES, st.sampled_from(["Upload", "Upload", "Upload", "Part", "Row"]))


@given(st.lists(st.one_of(ROWS, TREES), max_size=12))
@example(["<Upload/>"])
@example(["text between rows"])
@example(["<Other><Upload><Key>a</Key></Upload></Other>"])
@example([row() * 20, "<Upload>"])
@settings(deadline=None)
def test_result_is_that_of_the_parser(rows: list[str]) -> None:
    text = page(*rows)
    found = xml_tree._read_alike(text)
    assert found is None or found == by_parser(text)


@given(st.integers(0, 2000), st.text(st.sampled_from("<>/&;aU \n\"'=!-]"), max_size=3), st.integers(0, 12))
@settings(deadline=None)
def test_damaged_document_is_read_as_by_the_parser(at: int, inserted: str, removed: int) -> None:
    whole = page(row("a &amp; b"), row(inner=""), row(inner="<Owner/>"))
    at %= len(whole)
    text = whole[:at] + inserted + whole[at + removed :]
    found = xml_tree._read_alike(text)
    assert found is None or found == by_parser(text)


@pytest.mark.parametrize(
    "rows",
    [
        [row("a &amp; b &lt;&gt;&quot;&apos;"), row("日本"), row("")],
        [row(inner=""), row(inner="<Initiator/>"), row(inner="<Initiator />"), row(inner="<Owner><ID>a</ID></Owner>")],
        ["\n  ", row(inner="<Owner>\n    <ID>o</ID>\n  </Owner>\n"), "\n\t"],
    ],
    ids=["characters", "other elements", "indented"],
)
def test_rows_are_read_without_the_parser(rows: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser reads the rest of the document, and one row of each kind."""
    text = page(*rows * 500)
    expected, read = by_parser(text), list[int]()
    parser = xml_tree._read

    def reading(part: str, restore: Callable[[str], str]) -> tuple[str, Node]:
        read.append(len(part))
        return parser(part, restore)

    monkeypatch.setattr(xml_tree, "_read", reading)
    assert xml_tree.parse_any(text.encode()) == expected
    assert len(read) <= 6
    assert max(read) < 400


@pytest.mark.parametrize(
    ("rows", "is_plain"), [(MAX_ROWS - 10, True), (MAX_ROWS - 9, False)], ids=["most rows", "too many rows"]
)
def test_limit_of_rows_is_that_of_the_parser(rows: int, is_plain: bool) -> None:
    text = page(row(inner="") * rows)
    found = xml_tree._read_alike(text)
    assert found == (by_parser(text) if is_plain else None)
    assert len(xml.uploads_page(xml.uploads_fields(text.encode())).uploads) == MAX_ROWS


@pytest.mark.parametrize(
    "text",
    [
        page(*(row(inner=f"<E{number}/>") for number in range(20))),
        page(row(inner="<E/>" * 200)),
        page(f"<Upload>{'<a>' * 30}{'</a>' * 30}</Upload>"),
        f"{HEAD}{row() * 3}{TAIL}",
        f"{HEAD}<Group>{row() * 20}</Group>{TAIL}",
        HEAD + row() * 20,
    ],
    ids=["many kinds of rows", "long row", "deep row", "few rows", "rows in an element", "cut"],
)
def test_other_documents_are_left_to_the_parser(text: str) -> None:
    assert xml_tree._read_alike(text) is None
