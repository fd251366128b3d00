"""Every code has a text, and the code that raises it passes what the text needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils.functional import Promise

import uploads
from dashboard.shared.messages import MESSAGES, text_of
from uploads.objectstore.probing.codes import FindingCode
from uploads.problems import Code, Problem

UPLOADS = Path(uploads.__file__).parent


class _Parameters(dict[str, Any]):
    """Gives `number` for every parameter, and notes which ones a text asks for."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.names: set[str] = set()
        self._number = number

    def __getitem__(self, name: str) -> int:
        self.names.add(name)
        return self._number


def _placeholders(code: str) -> set[str]:
    """The parameters of a text, in its singular and its plural form."""
    forms = _Parameters(1), _Parameters(2)
    for form in forms:
        assert str(MESSAGES[code] % form)
    return set.union(*(form.names for form in forms))


def _problem_calls() -> Iterator[tuple[str, Code, set[str]]]:
    """Where each `Problem(Code.X, a=..., b=...)` is, its code, and its parameters; those with `**` are left out."""
    for path in sorted(UPLOADS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _is_problem(node) and all(keyword.arg for keyword in node.keywords):
                for code in _codes(node.args[0]):
                    place = f"{path.relative_to(UPLOADS.parent)}:{node.lineno}"
                    yield place, code, {str(keyword.arg) for keyword in node.keywords}


def _is_problem(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "Problem" and bool(call.args)


def _codes(argument: ast.AST) -> list[Code]:
    """The codes that a first argument can be: one, or those of a conditional expression."""
    return [
        Code[node.attr]
        for node in ast.walk(argument)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    ]


def test_every_code_has_a_text_and_every_text_a_code() -> None:
    assert set(MESSAGES) == {*Code, *FindingCode}


@pytest.mark.parametrize(("place", "code", "params"), [pytest.param(*call, id=call[0]) for call in _problem_calls()])
def test_problem_has_the_parameters_of_its_text(place: str, code: Code, params: set[str]) -> None:
    assert params == _placeholders(code), f"{place}: {code}"


@pytest.mark.parametrize("code", Code)
def test_text_is_translated(code: Code) -> None:
    """A text that is not lazy would stay in the language that is active at import."""
    assert isinstance(MESSAGES[code], Promise)


@pytest.mark.parametrize("code", Code)
def test_text_is_a_sentence(code: Code) -> None:
    text = str(MESSAGES[code] % _Parameters(2))
    assert text[0].isupper() or not text[0].isalpha()
    assert "%(" not in text


def test_code_of_a_later_version_is_shown_as_it_is() -> None:
    assert text_of(Problem("FromTheFuture", size_bytes=3)) == "FromTheFuture size_bytes=3"
