"""The check of paths that are written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checks.paths import in_code, in_script, main
from checks.report import Finding


def found(check: Callable[[Path], Iterator[Finding]], path: Path, source: str) -> int:
    path.write_text(source)
    return len(list(check(path)))


@pytest.mark.parametrize(
    "source", ['LOGIN_URL = "/login/"', 'url = f"/transfers/{number}/"', 'redirect("/stores/new/")', 'x = "/files"']
)
def test_path_in_code_is_found(tmp_path: Path, source: str) -> None:
    assert found(in_code, tmp_path / "code.py", source) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""/files/: tus"""',
        'request.path_info == "/files/"',
        'STATIC_URL = f"{SUB_PATH}/static/"',
        'reverse("login")',
        'text = "/filestore"',
    ],
)
def test_other_text_in_code_is_no_path(tmp_path: Path, source: str) -> None:
    assert found(in_code, tmp_path / "code.py", source) == 0


@pytest.mark.parametrize("source", ['fetch("/queue/")', "post(`/transfers/${id}/`)", "location.href = '/'"])
def test_path_in_a_script_is_found(tmp_path: Path, source: str) -> None:
    assert found(in_script, tmp_path / "script.js", source) == 1


@pytest.mark.parametrize("source", ["post(`${transfers}${id}/`)", "// PATCH /files/", 'value.split("/")'])
def test_other_text_in_a_script_is_no_path(tmp_path: Path, source: str) -> None:
    assert found(in_script, tmp_path / "script.js", source) == 0


def test_partway_has_none() -> None:
    assert main() == 0
