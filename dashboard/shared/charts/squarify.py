"""Dividing a rectangle into rectangles that are as square as possible, with areas in proportion to values. Pure.

The algorithm is that of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000): values are laid in rows along the
shorter side of what is left, and a row takes another value as long as its worst ratio of sides gets better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float


def squarify(values: Sequence[float], width: float, height: float) -> list[Box]:
    """A box for each value. Values are positive, the largest first."""
    total = sum(values)
    areas = [value / total * width * height for value in values]
    boxes: list[Box] = []
    left = Box(0, 0, width, height)
    start = 0
    while start < len(areas):
        end = _end_of_row(areas, start, min(left.width, left.height))
        row, left = _row(areas[start:end], left)
        boxes.extend(row)
        start = end
    return boxes


def _end_of_row(areas: Sequence[float], start: int, side: float) -> int:
    """Up to where the areas make one row along a side. Each area is looked at once per row."""
    total = areas[start]
    worst = _worst(areas[start], areas[start], total, side)
    end = start + 1
    while end < len(areas):
        grown = total + areas[end]
        ratio = _worst(areas[start], areas[end], grown, side)
        if ratio > worst:
            break
        total, worst, end = grown, ratio, end + 1
    return end


def _worst(largest: float, smallest: float, total: float, side: float) -> float:
    """The worst ratio of sides in a row: that of its largest or of its smallest area. No side is 0 for no area."""
    if not (side and smallest and total):
        return float("inf")
    return max(side * side * largest / (total * total), total * total / (side * side * smallest))


def _row(areas: Sequence[float], left: Box) -> tuple[list[Box], Box]:
    """The boxes of a row, and what is left beside it."""
    total = sum(areas)
    if left.width >= left.height:
        depth = total / left.height if left.height else 0
        boxes, y = [], left.y
        for area in areas:
            length = area / depth if depth else 0
            boxes.append(Box(left.x, y, depth, length))
            y += length
        return boxes, Box(left.x + depth, left.y, max(0, left.width - depth), left.height)
    depth = total / left.width if left.width else 0
    boxes, x = [], left.x
    for area in areas:
        length = area / depth if depth else 0
        boxes.append(Box(x, left.y, length, depth))
        x += length
    return boxes, Box(left.x, left.y + depth, left.width, max(0, left.height - depth))
