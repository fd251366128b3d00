"""The drawing of a treemap."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.shared.charts.drawing import number, percent
from dashboard.shared.charts.model import Tile, Treemap
from dashboard.shared.charts.squarify import Box, squarify

WIDTH, HEIGHT = 720, 300
"""The page that the layout is made for, in pixels. A phone is half as wide: there, fewer tiles show their names."""

LEAST_HEIGHT, LEAST_WIDTH, LEAST_WIDTH_ON_PHONE = 22, 56, 150
"""How large a tile must be to show its name; the width of that page in pixels."""

TWO_LINES = 40
MOST_TILES = 60
"""Smaller tiles could not be told apart; the table has all of them."""


@dataclass(frozen=True, slots=True)
class DrawnTile:
    tile: Tile
    x: str
    y: str
    width: str
    height: str
    has_name: bool
    is_narrow: bool
    """Whether the name has no room on a phone."""
    has_value: bool
    value: str
    title: str


def draw(chart: Treemap) -> list[DrawnTile]:
    tiles = sorted((tile for tile in chart.tiles if tile.value > 0), key=lambda tile: -tile.value)[:MOST_TILES]
    boxes = squarify([tile.value for tile in tiles], WIDTH, HEIGHT)
    return [_drawn(chart, tile, box) for tile, box in zip(tiles, boxes, strict=True)]


def _drawn(chart: Treemap, tile: Tile, box: Box) -> DrawnTile:
    value = chart.unit.text(tile.value)
    has_name = box.height >= LEAST_HEIGHT and box.width >= LEAST_WIDTH
    return DrawnTile(
        tile=tile,
        x=percent(box.x / WIDTH),
        y=number(box.y),
        width=percent(box.width / WIDTH),
        height=number(box.height),
        has_name=has_name,
        is_narrow=box.width < LEAST_WIDTH_ON_PHONE,
        has_value=has_name and box.height >= TWO_LINES,
        value=value,
        title=f"{tile.name}: {value}{f' ({tile.note})' if tile.note else ''}",
    )
