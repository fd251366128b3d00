"""Draws the comparisons of a JSON file of results as SVG files: `python plots.py RESULTS FOLDER`.

It runs in the environment of the clients, which has the library that draws.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# Texts stay texts, and the same results make the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "partway", "font.family": "sans-serif", "font.size": 10})

import matplotlib.pyplot as plt  # noqa: E402  (after the choice of the output)

OURS, OTHERS, ROUND = "#206bc4", "#9aa5b1", "#1d2a3a"


def main(results: str, folder: str) -> None:
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    for comparison in json.loads(Path(results).read_text())["results"]:
        if "candidates" in comparison:
            _draw(comparison, into / f"{_file_name(comparison['work'])}.svg")


def _file_name(work: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", work.lower()).strip("-")


def _draw(comparison: dict[str, Any], path: Path) -> None:
    candidates = comparison["candidates"]
    names = list(candidates)
    figure, axes = plt.subplots(figsize=(7.2, 0.9 + 0.42 * len(names)), layout="constrained")
    for place, name in enumerate(names):
        seconds = candidates[name]["seconds"]
        median = statistics.median(seconds)
        axes.barh(place, median, color=OURS if name.startswith("Partway") else OTHERS, height=0.62)
        axes.plot(seconds, [place] * len(seconds), "|", color=ROUND, markersize=9)
        axes.annotate(f"{median:.3g} s", (max(seconds), place), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds (bar: median, marks: rounds)")
    axes.set_title(comparison["work"], loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
