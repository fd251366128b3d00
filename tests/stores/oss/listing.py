"""A page of names by prefix, delimiter, markers and limit. Pure.

OSS orders by key and upload id as UTF-8 bytes, which is the order of Python's strings. A common prefix counts as one
towards the limit: this is documented for ListObjectsV2 (KeyCount) and assumed for ListMultipartUploads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Name = tuple[str, str]
"""A key and an upload id, which is empty for objects."""


@dataclass(frozen=True, slots=True)
class Page:
    names: list[Name]
    prefixes: list[str]
    truncated: bool
    last: Name
    """The name after which the next page starts, also on the last page; ("", "") on an empty one."""


def page_of(names: Iterable[Name], *, prefix: str, delimiter: str, after: Name, limit: int) -> Page:
    """The first `limit` names after `after`. Names with a common prefix count as one.

    After a key without an upload id follow greater keys only; with an upload id, also the same key with a greater
    upload id. After a common prefix, no names with that prefix follow.
    """
    page = Page([], [], False, ("", ""))
    last = page.last
    for name, group in _grouped(_names_after(sorted(names), after), prefix, delimiter, after[0]):
        if len(page.names) + len(page.prefixes) == limit:
            return Page(page.names, page.prefixes, True, last)
        if group:
            page.prefixes.append(group)
            last = (group, "")
        else:
            page.names.append(name)
            last = name
    return Page(page.names, page.prefixes, False, last)


def _names_after(names: Iterable[Name], after: Name) -> Iterator[Name]:
    key_marker, id_marker = after
    for key, upload_id in names:
        if key > key_marker or (key == key_marker and id_marker and upload_id > id_marker):
            yield key, upload_id


def _grouped(names: Iterable[Name], prefix: str, delimiter: str, key_marker: str) -> Iterator[tuple[Name, str]]:
    """Each name with '', or one name of each common prefix with that prefix."""
    seen = key_marker
    for name in names:
        group = _common_prefix(name[0], prefix, delimiter)
        if not name[0].startswith(prefix) or (group and group == seen):
            continue
        if group:
            seen = group
        yield name, group


def _common_prefix(key: str, prefix: str, delimiter: str) -> str:
    """The key up to the first delimiter after the prefix, or ''."""
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: end + len(delimiter)] if end >= 0 else ""
