"""Charts as template tags. They are built in: no template loads them. See dashboard/shared/charts."""

from __future__ import annotations

from typing import Any

from django import template

from dashboard.shared.charts import BarChart, LineChart, Treemap, bars, lines, treemaps
from dashboard.shared.charts.drawing import cell

register = template.Library()


@register.inclusion_tag("components/charts/bar_chart.html")
def bar_chart(chart: BarChart) -> dict[str, Any]:
    """Stacked bars, one for each category, and their table."""
    links = [*chart.links, *[""] * (len(chart.categories) - len(chart.links))]
    rows = [
        {"name": name, "link": links[place], "cells": [cell(each.values[place], chart.unit) for each in chart.series]}
        for place, name in enumerate(chart.categories)
    ]
    return {"chart": chart, "drawing": bars.draw(chart), "rows": rows}


@register.inclusion_tag("components/charts/line_chart.html")
def line_chart(chart: LineChart) -> dict[str, Any]:
    """Lines over days, and their table, the last day first."""
    rows = [
        {"name": lines.day_text(day), "cells": [cell(each.values[place], chart.unit) for each in chart.series]}
        for place, day in enumerate(chart.days)
    ]
    return {"chart": chart, "drawing": lines.draw(chart), "rows": rows[::-1]}


@register.inclusion_tag("components/charts/treemap.html")
def treemap(chart: Treemap) -> dict[str, Any]:
    """Tiles with areas in proportion to their values, and their table."""
    rows = [(tile, chart.unit.text(tile.value)) for tile in chart.tiles]
    return {"chart": chart, "tiles": treemaps.draw(chart), "rows": rows, "height": treemaps.HEIGHT}
