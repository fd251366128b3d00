"""Charts: their geometry, and what the tags write into a page."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from django.template import Context, Template
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from dashboard.shared.charts import BYTES, COUNT, BarChart, LineChart, Series, Tile, Treemap, bars, lines, treemaps
from dashboard.shared.charts.squarify import squarify
from dashboard.shared.charts.units import Unit

MIB = 1024 * 1024
DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(30)]
HOSTILE = '</text><script>"x"'


def bar_chart() -> BarChart:
    series = [Series("alive", "alive", [MIB, 0, None]), Series("dead", "dead", [3 * MIB, 2 * MIB, None])]
    return BarChart("Bytes by age", "Age", ["1 day", HOSTILE, "1 year"], series, BYTES, "Older is worse.")


def line_chart(values: list[float | None] | None = None) -> LineChart:
    return LineChart("Growth", DAYS, [Series("all", "plain", values or list(range(30)))], COUNT)


def treemap() -> Treemap:
    return Treemap("Buckets", "Bucket", [Tile("a", 3 * MIB, link="?bucket=a"), Tile(HOSTILE, MIB), Tile("c", 0)], BYTES)


def rendered(tag: str, chart: object) -> str:
    return Template(f"{{% {tag} chart %}}").render(Context({"chart": chart}))


CHARTS = [("bar_chart", bar_chart()), ("line_chart", line_chart()), ("treemap", treemap())]


@given(
    st.lists(st.floats(1, 1e6), min_size=1, max_size=80).map(lambda values: sorted(values, reverse=True)),
    st.integers(10, 2000),
    st.integers(10, 2000),
)
def test_areas_are_in_proportion_and_fill_the_rectangle(values: list[float], width: int, height: int) -> None:
    boxes = squarify(values, width, height)
    assert len(boxes) == len(values)
    for value, box in zip(values, boxes, strict=True):
        assert box.width * box.height == pytest.approx(value / sum(values) * width * height, rel=1e-6, abs=1e-6)
        assert box.x >= 0
        assert box.x + box.width <= width * (1 + 1e-6)
        assert box.y >= 0
        assert box.y + box.height <= height * (1 + 1e-6)


def test_boxes_do_not_overlap_and_are_nearly_square() -> None:
    boxes = squarify([6, 6, 4, 3, 2, 2, 1], 600, 400)
    for number, one in enumerate(boxes):
        assert max(one.width / one.height, one.height / one.width) < 3
        for other in boxes[number + 1 :]:
            beside = one.x + one.width <= other.x + 1e-6 or other.x + other.width <= one.x + 1e-6
            above = one.y + one.height <= other.y + 1e-6 or other.y + other.height <= one.y + 1e-6
            assert beside or above


@given(st.floats(1e-2, 1e18))
def test_an_axis_has_few_round_steps_and_reaches_the_highest_value(highest: float) -> None:
    for unit in (BYTES, COUNT, Unit(str)):
        ticks = unit.ticks(highest)
        assert ticks[0] == 0
        assert ticks[-1] >= highest * (1 - 1e-6)
        assert 2 <= len(ticks) <= 6
        steps = [after - before for before, after in pairwise(ticks)]
        assert steps == pytest.approx([steps[0]] * len(steps))


def test_an_axis_of_bytes_has_binary_steps() -> None:
    assert [BYTES.text(tick) for tick in BYTES.ticks(3.5 * MIB)][-1] == "4.00 MiB"
    assert COUNT.ticks(0) == [0, 1]
    assert COUNT.ticks(2) == [0, 1, 2]


def test_the_longest_bar_has_the_whole_width_and_segments_follow_each_other() -> None:
    first, second, third = bars.draw(bar_chart()).bars
    assert [(each.x, each.width) for each in first.segments] == [("0%", "25%"), ("25%", "75%")]
    assert [each.width for each in second.segments] == ["50%"]
    assert third.segments == []


def test_a_line_ends_where_a_value_is_not_known() -> None:
    values: list[float | None] = [*range(10), None, 5, None, *range(17)]
    (line,) = lines.draw(line_chart(values)).lines
    assert [len(points.split()) for points in line.points] == [10, 17]
    assert len(line.dots) == 1


def test_the_first_and_the_last_day_are_named() -> None:
    labels = lines.draw(line_chart()).labels
    assert (labels[0].text, labels[0].x, labels[0].anchor) == ("2026-01-01", "0%", "start")
    assert (labels[-1].text, labels[-1].x, labels[-1].anchor) == ("2026-01-30", "100%", "end")


def test_a_single_day_is_a_dot() -> None:
    (line,) = lines.draw(LineChart("Growth", DAYS[:1], [Series("all", "plain", [3])], COUNT)).lines
    assert line.points == []
    assert line.dots[0].x == "50%"


def test_tiles_without_a_value_are_in_the_table_only() -> None:
    assert [each.tile.name for each in treemaps.draw(treemap())] == ["a", HOSTILE]
    assert "c" in re.findall(r'<th scope="row" translate="no">\s*(\w)\s*</th>', rendered("treemap", treemap()))


@pytest.mark.parametrize(("tag", "chart"), CHARTS)
def test_a_chart_has_a_name_a_table_and_nothing_inline(tag: str, chart: BarChart) -> None:
    html = rendered(tag, chart)
    assert f"<title>{chart.title}</title>" in html
    assert "<details" in html
    assert "<caption" in html
    assert "<script" not in html
    assert not re.search(r"\sstyle=|\son\w+=", html)


class _Tags(HTMLParser):
    """Checks that each tag is closed in its place."""

    VOID = frozenset({"rect", "line", "circle", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("tag", "chart"), CHARTS)
def test_the_markup_is_well_formed(tag: str, chart: object) -> None:
    parser = _Tags()
    parser.feed(rendered(tag, chart))
    assert parser.open == []


@pytest.mark.parametrize(("tag", "chart"), CHARTS)
def test_texts_follow_the_language_and_attributes_do_not(tag: str, chart: object) -> None:
    with translation.override("de"):
        html = rendered(tag, chart)
    numbers = re.findall(r'\s(?:x|y|width|height|x1|x2|y1|y2|cx|cy)="([^"]*)"', html)
    assert numbers
    assert all(re.fullmatch(r"-?\d+(\.\d+)?%?", each) for each in numbers)
    if tag != "line_chart":
        assert "3,00" in html


@pytest.mark.parametrize(
    ("tag", "chart"),
    [
        ("bar_chart", BarChart("Nothing", "Age", [], [], BYTES)),
        ("line_chart", LineChart("Nothing", [], [], COUNT)),
        ("line_chart", LineChart("Nothing", [], [Series("all", "plain", [])], COUNT)),
        ("treemap", Treemap("Nothing", "Bucket", [], BYTES)),
    ],
)
def test_a_chart_of_nothing_is_drawn(tag: str, chart: object) -> None:
    assert "Nothing" in rendered(tag, chart)


def test_values_that_are_not_known_are_not_zero() -> None:
    assert rendered("bar_chart", bar_chart()).count("–") == 2
