"""Charts as SVG from the server: stacked bars, lines and treemaps. No request, no database, no script.

A view describes a chart (`model`), a template tag draws it: `{% bar_chart chart %}`, `{% line_chart chart %}`,
`{% treemap chart %}`. Horizontal positions are per cent of the width and vertical ones pixels, so that texts keep their
size on every screen. Colours are CSS classes, `tone-` and the name of the tone (static/charts.css). Each chart has its
numbers in a table below it.
"""

from dashboard.shared.charts.model import BarChart, LineChart, Series, Tile, Treemap
from dashboard.shared.charts.units import BYTES, COUNT, Unit

__all__ = ["BYTES", "COUNT", "BarChart", "LineChart", "Series", "Tile", "Treemap", "Unit"]
