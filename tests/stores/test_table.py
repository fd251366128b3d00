"""The table of the servers, from reports of runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.servers import ASKED, KINDS
from tests.stores.table import BEGIN, CHECK, END, GROUPS, PROJECT, Collector
from tests.stores.ways import WAYS

Reports = list[pytest.TestReport]


def report(file: str, server: str, *ways: str, line: int = 1, title: str = "A check", of: int = 4) -> pytest.TestReport:
    about = (CHECK, {"server": server, "title": title, "of": of})
    properties = [about, *((ASKED, way) for way in ways)]
    return pytest.TestReport("", (file, line, ""), {}, "passed", None, "call", user_properties=properties)


@pytest.fixture
def reports() -> Reports:
    """Of a whole run: in the first file of the table every way is asked for, in the others none."""
    first, *others = GROUPS
    asking = [report(first, server, *WAYS[server]) for server in KINDS]
    return [*asking, *(report(file, server) for file in others for server in KINDS)]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    path = tmp_path / "stores.md"
    path.write_text(f"Before\n{BEGIN}old\n{END}After\n")
    return path


def complaint(docs: Path, reports: Reports, *, writes: bool = False, argument: str = "tests") -> str:
    collector = Collector([argument], writes=writes)
    for each in reports:
        collector.pytest_runtest_logreport(each)
    return collector.complaint(docs)


def cells(docs: Path, title: str) -> Iterator[list[str]]:
    """Those of each row of that title, in the order of the servers."""
    rows = (line.split(" | ") for line in docs.read_text().splitlines() if line.startswith(f"| {title} "))
    return ([cell.strip(" |") for cell in row[1:]] for row in rows)


def test_the_table_is_written_and_then_compared(docs: Path, reports: Reports) -> None:
    assert "make stores-table" in complaint(docs, reports)
    assert complaint(docs, reports, writes=True) == ""
    assert docs.read_text().startswith(f"Before\n{BEGIN}")
    assert docs.read_text().endswith(f"{END}After\n")
    assert complaint(docs, reports) == ""
    changed = [*reports[: -len(KINDS)], *(report(list(GROUPS)[-1], server, title="Another") for server in KINDS)]
    assert "make stores-table" in complaint(docs, changed)


def test_a_row_names_the_ways_of_each_server(docs: Path, reports: Reports) -> None:
    complaint(docs, reports, writes=True)
    first, *others = cells(docs, "A check")
    assert [len(cell.split(", ")) for cell in first] == [len(WAYS[server]) for server in KINDS]
    assert others == [["✓"] * len(KINDS)] * (len(GROUPS) - 1)
    for server, kind in KINDS.items():
        who = kind.label.rsplit(" ", maxsplit=1)[0] if kind.label[-1].isdigit() else kind.label
        for way, sentence in WAYS[server].items():
            (note,) = (line for line in docs.read_text().splitlines() if f":** {way}." in line)
            assert who in note
            assert sentence in note


def test_one_test_with_several_parameters_is_one_row(docs: Path, reports: Reports) -> None:
    file, (one, other) = next(iter(GROUPS)), list(WAYS["ceph"])[:2]
    ran = [*((server, ()) for server in KINDS if server != "ceph"), ("ceph", (one,)), ("ceph", (other,))]
    due = len(KINDS) + len(ran)
    first = [report(file, server, *WAYS[server], of=due) for server in KINDS]
    second = [report(file, server, *ways, line=9, title="Two keys", of=due) for server, ways in ran]
    assert complaint(docs, [*first, *second, *reports[len(KINDS) :]], writes=True) == ""
    (row,) = cells(docs, "Two keys")
    assert ["," in cell for cell in row] == [server == "ceph" for server in KINDS]


def test_a_way_that_no_test_asks_for_is_named(docs: Path, reports: Reports) -> None:
    before, first = docs.read_text(), next(iter(GROUPS))
    idle, *asked = WAYS["ceph"]
    changed = [report(first, server, *(asked if server == "ceph" else WAYS[server])) for server in KINDS]
    for writes in (False, True):
        assert f"ceph: {idle}" in complaint(docs, [*changed, *reports[len(KINDS) :]], writes=writes)
    assert docs.read_text() == before


@pytest.mark.parametrize("argument", ["tests", "tests/objectstore/on_stores/test_keys.py::test_one"])
def test_without_all_tests_nothing_is_compared_and_nothing_written(docs: Path, reports: Reports, argument: str) -> None:
    before, some = docs.read_text(), reports if "::" in argument else reports[1:]
    assert complaint(docs, some, argument=argument) == ""
    assert "Not all tests" in complaint(docs, some, argument=argument, writes=True)
    assert docs.read_text() == before


def test_what_is_wrong_fails_the_run() -> None:
    argv = [sys.executable, "-m", "pytest", "--stores-table", "-q", "-p", "no:cacheprovider", "tests/test_states.py"]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "the table was not written" in done.stdout
    assert "1 error" in done.stdout.splitlines()[-1]
