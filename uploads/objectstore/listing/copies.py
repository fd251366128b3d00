"""Parts that a store lists more than once: SeaweedFS keeps a copy for each time a part was sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from uploads.objectstore.types import ListedPart


def newest_copies(parts: Iterable[ListedPart]) -> tuple[ListedPart, ...]:
    """Each part number once: its newest copy."""
    kept: dict[int, ListedPart] = {}
    keep_newest(kept, parts)
    return tuple(kept.values())


def keep_newest(kept: dict[int, ListedPart], parts: Iterable[ListedPart]) -> None:
    """Add parts to those by their number. The newest copy of each stays, by LastModified."""
    for part in parts:
        other = kept.get(part.number)
        kept[part.number] = part if other is None else _newer(other, part)


def _newer(kept: ListedPart, other: ListedPart) -> ListedPart:
    """The newer of two copies. Equal copies are one: a page may repeat a row of the page before.

    A copy of unknown date may be newer than any other, so the date of what is kept is unknown from then on.
    """
    is_dated = kept.last_modified is not None and other.last_modified is not None
    if (kept.size, kept.etag) == (other.size, other.etag):
        if is_dated and _date_order(kept, other) >= 0:
            return kept
        return replace(kept, last_modified=other.last_modified if is_dated else None)
    copies, order = kept.copies + 1, _date_order(kept, other)
    if order < 0:
        return replace(other, copies=copies)
    if order > 0:
        return replace(kept, copies=copies)
    return replace(kept, copies=copies, is_unclear=True, last_modified=kept.last_modified if is_dated else None)


def _date_order(kept: ListedPart, other: ListedPart) -> int:
    """1 if the kept copy is the newer one, -1 if the other is; 0 if the dates do not tell."""
    if kept.last_modified is None or other.last_modified is None or kept.last_modified == other.last_modified:
        return 0
    return 1 if kept.last_modified > other.last_modified else -1
