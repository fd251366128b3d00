"""Runs test files again on PostgreSQL, in a separate process: the settings of a process name one database."""

from __future__ import annotations

import os
import subprocess
import sys

from local.installation import PROJECT
from tests.stores.postgresql import Cluster


def run_again(path: str, cluster: Cluster, *others: str) -> None:
    """Run all tests of these files except those with `on_postgresql` in their names.

    The files of `tests/test_on_postgresql.py` share one process, because its servers take longer to start than the
    tests of a file.
    """
    env = {**os.environ, "TEST_DATABASE_URL": cluster.migrated_database()}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not on_postgresql", path, *others]
    done = subprocess.run(argv, env=env, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
