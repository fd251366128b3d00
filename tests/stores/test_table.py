"""The table of the test servers, generated from test reports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.quirks import QUIRKS
from tests.stores.servers import KINDS, USED_QUIRK
from tests.stores.table import CHECK, END, GROUPS, PROJECT, START, Collector

Reports = list[pytest.TestReport]


def report(
    file: str, server: str, *quirks: str, line: int = 1, title: str = "A check", of: int = len(KINDS)
) -> pytest.TestReport:
    row = (CHECK, {"server": server, "title": title, "of": of})
    properties = [row, *((USED_QUIRK, quirk) for quirk in quirks)]
    return pytest.TestReport("", (file, line, ""), {}, "passed", None, "call", user_properties=properties)


@pytest.fixture
def reports() -> Reports:
    """The reports of a whole run: tests of the first file ask for every quirk, the others for none."""
    first, *others = GROUPS
    with_quirks = [report(first, server, *QUIRKS[server]) for server in KINDS]
    return [*with_quirks, *(report(file, server) for file in others for server in KINDS)]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    path = tmp_path / "stores.md"
    path.write_text(f"Before\n{START}old\n{END}After\n")
    return path


def problem(docs: Path, reports: Reports, *, writes: bool = False, argument: str = "tests") -> str:
    collector = Collector([argument], writes=writes)
    for each in reports:
        collector.pytest_runtest_logreport(each)
    return collector.problem(docs)


def cells(docs: Path, title: str) -> Iterator[list[str]]:
    """The cells of each row with that title, in the order of the servers."""
    rows = (line.split(" | ") for line in docs.read_text().splitlines() if line.startswith(f"| {title} "))
    return ([cell.strip(" |") for cell in row[1:]] for row in rows)


def test_table_is_written_and_compared(docs: Path, reports: Reports) -> None:
    assert "make stores-table" in problem(docs, reports)
    assert problem(docs, reports, writes=True) == ""
    assert docs.read_text().startswith(f"Before\n{START}")
    assert docs.read_text().endswith(f"{END}After\n")
    assert problem(docs, reports) == ""
    changed = [*reports[: -len(KINDS)], *(report(list(GROUPS)[-1], server, title="Another") for server in KINDS)]
    assert "make stores-table" in problem(docs, changed)


def test_row_has_the_quirks_of_each_server(docs: Path, reports: Reports) -> None:
    problem(docs, reports, writes=True)
    first, *others = cells(docs, "A check")
    assert [len(cell.split(", ")) for cell in first] == [len(QUIRKS[server]) for server in KINDS]
    assert others == [["✓"] * len(KINDS)] * (len(GROUPS) - 1)
    for server, kind in KINDS.items():
        name = kind.label.rsplit(" ", maxsplit=1)[0] if kind.label[-1].isdigit() else kind.label
        for quirk, sentence in QUIRKS[server].items():
            (note,) = (line for line in docs.read_text().splitlines() if f":** {quirk}." in line)
            assert name in note
            assert sentence in note


def test_test_with_several_parameters_is_one_row(docs: Path, reports: Reports) -> None:
    file, (one, other) = next(iter(GROUPS)), list(QUIRKS["ceph"])[:2]
    ran = [*((server, ()) for server in KINDS if server != "ceph"), ("ceph", (one,)), ("ceph", (other,))]
    expected = len(KINDS) + len(ran)
    first = [report(file, server, *QUIRKS[server], of=expected) for server in KINDS]
    second = [report(file, server, *quirks, line=9, title="Two keys", of=expected) for server, quirks in ran]
    assert problem(docs, [*first, *second, *reports[len(KINDS) :]], writes=True) == ""
    (row,) = cells(docs, "Two keys")
    assert ["," in cell for cell in row] == [server == "ceph" for server in KINDS]


def test_quirk_that_no_test_asks_for_is_reported(docs: Path, reports: Reports) -> None:
    before, first = docs.read_text(), next(iter(GROUPS))
    unused, *used = QUIRKS["ceph"]
    changed = [report(first, server, *(used if server == "ceph" else QUIRKS[server])) for server in KINDS]
    for writes in (False, True):
        assert f"ceph: {unused}" in problem(docs, [*changed, *reports[len(KINDS) :]], writes=writes)
    assert docs.read_text() == before


@pytest.mark.parametrize("argument", ["tests", "tests/objectstore/on_stores/test_keys.py::test_one"])
def test_incomplete_run_compares_and_writes_nothing(docs: Path, reports: Reports, argument: str) -> None:
    before, some = docs.read_text(), reports if "::" in argument else reports[1:]
    assert problem(docs, some, argument=argument) == ""
    assert "Not all tests" in problem(docs, some, argument=argument, writes=True)
    assert docs.read_text() == before


def test_problem_fails_the_run() -> None:
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "--stores-table",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/domain/test_states.py",
    ]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "the table was not written" in done.stdout
    assert "1 error" in done.stdout.splitlines()[-1]
