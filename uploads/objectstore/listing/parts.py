"""The order of a page of parts, which its marker relies on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from uploads.objectstore.types import MAX_PART_NUMBER, PartsPage


def in_number_order(page: PartsPage) -> PartsPage:
    """The page with its parts in ascending order, and with the marker of a part before which none was left out.

    SeaweedFS sorts numbers as texts of four digits, so part 10,000 comes before part 1,000. A page that ends with it
    has it as its marker, and parts 1,000 to 9,999 would be lost. A part after the marker is on a later page again.
    """
    numbers = [part.number for part in page.parts]
    marker = page.next_part_number_marker
    below = [number for number in numbers if number < MAX_PART_NUMBER]
    if page.is_truncated and marker >= MAX_PART_NUMBER and below:
        marker = max(below)
    elif all(one <= other for one, other in pairwise(numbers)):
        return page
    ordered = sorted(page.parts, key=lambda part: part.number)
    kept = tuple(part for part in ordered if not page.is_truncated or part.number <= marker)
    return replace(page, parts=kept, next_part_number_marker=marker)
