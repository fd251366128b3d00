"""Runs test files again on PostgreSQL, in a separate process: the settings of a process name one database.

In that process, this is a pytest plugin too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict

import pytest

from local.installation import PROJECT
from tests.stores.postgresql import Cluster
from tests.system.fault_proxy import Fault


def run_again(path: str, cluster: Cluster, *others: str) -> None:
    """Run all tests of these files except those with `on_postgresql` in their names.

    The files of `tests/test_on_postgresql.py` share one process, because its servers take longer to start than the
    tests of a file.
    """
    env = {**os.environ, "TEST_DATABASE_URL": cluster.migrated_database()}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", __name__]
    argv += ["-k", "not on_postgresql", path, *others]
    done = subprocess.run(argv, env=env, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of tests that differ only in what a store or a proxy does, run the first and the last.

    The statements are the same for each fault. All of them run on SQLite, and take minutes.
    """
    alike: dict[tuple[object, ...], list[pytest.Item]] = defaultdict(list)
    for item in items:
        alike[_without_faults(item)].append(item)
    kept = {id(item) for group in alike.values() for item in (group[0], group[-1])}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = [item for item in items if id(item) in kept]


def _without_faults(item: pytest.Item) -> tuple[object, ...]:
    """The test and its parameters, without those that are faults."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or not any(isinstance(value, Fault) for value in callspec.params.values()):
        return (item.nodeid,)
    others = {name: repr(value) for name, value in callspec.params.items() if not isinstance(value, Fault)}
    return (item.nodeid.partition("[")[0], *sorted(others.items()))
