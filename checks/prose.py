"""`python -m checks.prose`: finds sentences in `uploads/`, which holds codes only; the dashboard has their texts.

A sentence is a string of five words or more. Docstrings, log messages, help texts, proper names, SQL, scripts for
Redis and the messages of exceptions for programmers are none. Migrations are history and not checked.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from checks.report import PROJECT, Finding, report

GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy", "npgettext"}
LEAST_WORDS = 5
WORD = re.compile(r"""(?<!\S)["'(“]?[A-Za-z][A-Za-z'’/-]*["')”]?[,;:.?!]?(?!\S)""")
SQL = re.compile(r"\s*((CREATE|DROP|BEFORE) [A-Z]{2,} |SELECT v0\b|local \w+ = redis\.call\()")
"""The start of a statement, or of a part of one, or of a script for Redis."""

LOGGERS = {"log", "logger", "logging"}
FOR_PROGRAMMERS = {
    "AssertionError",
    "ImproperlyConfigured",
    "KeyError",
    "NotImplementedError",
    "RuntimeError",
    "TypeError",
    "ValueError",
}
METRICS = {"Counter", "Gauge", "Histogram", "CounterMetricFamily", "GaugeMetricFamily", "HistogramMetricFamily"}
"""Their second argument is a help text."""
HELP = {"help", "help_text", "description"}
NAMES = {"label"}
"""Proper names, such as that of a provider."""


def main() -> int:
    checks = {
        "Sentences in uploads/": sentences_below(PROJECT / "uploads", frozenset()),
        "Sentences in dashboard/ without gettext": sentences_below(PROJECT / "dashboard", frozenset(GETTEXT)),
    }
    return max([report(rule, found) for rule, found in checks.items()])


def sentences_below(folder: Path, allowed_calls: frozenset[str]) -> Iterator[Finding]:
    for path in sorted(folder.rglob("*.py")):
        if not {"migrations", "management"} & set(path.parts):
            yield from sentences(path, allowed_calls)


def sentences(path: Path, allowed_calls: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """The sentences of a module, except in arguments of these calls."""
    for node in _texts(ast.parse(path.read_text()), allowed_calls):
        text = _text_of(node)
        if len(WORD.findall(text)) >= LEAST_WORDS and not SQL.match(text):
            yield Finding(path, node.lineno, text[:100])


def _texts(node: ast.AST, allowed_calls: frozenset[str]) -> Iterator[ast.Constant | ast.JoinedStr]:
    """The strings below a node that people may get to read."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
        return
    if not _is_for_programmers(node, allowed_calls):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child, allowed_calls)


def _is_for_programmers(node: ast.AST, allowed_calls: frozenset[str]) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):  # A docstring.
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in LOGGERS:
            return True
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="split")):  # A list of names.
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in FOR_PROGRAMMERS | METRICS | allowed_calls
        case ast.keyword(arg=name):
            return name in HELP | NAMES
        case _:
            return False


def _text_of(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


if __name__ == "__main__":
    sys.exit(main())
