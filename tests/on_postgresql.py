"""Runs a test file again on PostgreSQL, in a separate process: the settings of a process name one database."""

from __future__ import annotations

import os
import subprocess
import sys

from local.installation import PROJECT
from tests.stores.postgresql import Cluster


def run_again(path: str, cluster: Cluster) -> None:
    """Run all tests of a file except the one that calls this function, which has `postgresql` in its name."""
    env = {**os.environ, "TEST_DATABASE_URL": cluster.migrated_database()}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not on_postgresql", path]
    done = subprocess.run(argv, env=env, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
