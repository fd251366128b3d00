"""`python -m checks.paths`: paths of the site that code and scripts write out, so that SUB_PATH would not apply."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from checks.report import PROJECT, Finding, report

NAMES = (
    "account|alerts|audit|catalog|files|inventory|invitation|lifecycle|login|logout|operations|queue|staging|static|stores|tokens"
    "|transfers|users"
)
"""Without /healthz and /metrics, which no page leads to."""
PATH = re.compile(rf"/(?:{NAMES})(?:[/?#]|$)")
SCRIPT_LITERAL = re.compile(rf"""["'`]/(?:{NAMES})(?:[/?#"'`])|(?:fetch\(|href = |url: )["'`]/["'`]""")
COMMENT = re.compile(r"^\s*//|^\s*\*|\s//\s.*$")


def main() -> int:
    code = sorted((PROJECT / "dashboard").rglob("*.py"))
    scripts = sorted((PROJECT / "static").rglob("*.js"))
    return max(
        report("Paths written out in code", (each for path in code for each in in_code(path))),
        report("Paths written out in scripts", (each for path in scripts for each in in_script(path))),
    )


def in_code(path: Path) -> Iterator[Finding]:
    """Strings that start with a path of the site, but for docstrings and `path_info`, which lacks SUB_PATH."""
    source = path.read_text()
    lines, tree = source.splitlines(), ast.parse(source)
    others = set(_no_starts(ast.walk(tree)))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or node in others or "path_info" in lines[node.lineno - 1]:
            continue
        if isinstance(node.value, str) and PATH.match(node.value):
            yield Finding(path, node.lineno, node.value[:60])


def _no_starts(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """Docstrings, which no code uses, and the later pieces of f-strings."""
    for node in nodes:
        if isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from node.values[1:]


def in_script(path: Path) -> Iterator[Finding]:
    """String literals of JavaScript that start with a path of the site. Scripts get paths from data attributes."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for match in SCRIPT_LITERAL.finditer(COMMENT.sub("", line)):
            yield Finding(path, number, line[match.start() : match.start() + 60])


if __name__ == "__main__":
    sys.exit(main())
