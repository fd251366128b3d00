"""The order of the test files, which the processes of a test run take one after the other (a pytest plugin).

The longest files come first, so that no process is left with one at the end. Files that mostly wait (for processes,
browsers, timeouts) alternate with files that mostly compute, so that the processors always have something to do.
"""

from __future__ import annotations

import pytest

LONGEST = (
    "tests/test_on_postgresql.py",
    # Before other tests fill the lists of its pages, which axe-core then takes minutes to look at.
    "tests/browser/test_every_page.py",
    "tests/browser/test_main_job.py",
    "tests/system/test_storm.py",
    "tests/services/transfers/unknown_outcomes/test_raising_points.py",
    "tests/browser/test_uppy_resuming.py",
    "tests/browser/test_proxies.py",
    "tests/system/test_observability.py",
    "tests/local/test_launcher.py",
    "tests/browser/test_translation.py",
    "tests/system/test_hostile_input.py",
    "tests/system/test_documented_installation.py",
    "tests/local/test_secrets.py",
    "tests/services/on_servers/test_not_replacing.py",
    "tests/services/on_servers/test_aborting.py",
    "tests/dashboard/uploads/test_many_uploads.py",
    "tests/dashboard/uploads/test_listing.py",
    "tests/objectstore/on_stores/test_keys.py",
    "tests/objectstore/on_stores/test_uploads.py",
)

WAITING = ("tests/browser/", "tests/local/", "tests/system/", "tests/test_on_postgresql.py")

LAST = 0.85
"""By which part of the run all files that mostly wait have started: they are longer."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = list(dict.fromkeys(_file(item) for item in items))
    place = {file: number for number, file in enumerate(in_order(files))}
    items.sort(key=lambda item: place[_file(item)])


def in_order(files: list[str]) -> list[str]:
    """The files, given as paths below the project."""
    by_length = sorted(files, key=lambda file: LONGEST.index(file) if file in LONGEST else len(LONGEST))
    waiting = [file for file in by_length if file.startswith(WAITING)]
    computing = [file for file in by_length if not file.startswith(WAITING)]
    shares = {file: LAST * number / len(waiting) for number, file in enumerate(waiting)}
    shares |= {file: number / len(computing) for number, file in enumerate(computing)}
    return sorted(by_length, key=shares.__getitem__)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
