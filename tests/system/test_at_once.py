"""Concurrent changes on PostgreSQL. SQLite has one writer at a time and would not show these errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.installation import PROJECT
from tests.stores.postgresql import Cluster


@pytest.fixture(scope="module")
def outcome(postgresql_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The results of all threads. Standard error has the tracebacks of threads that failed."""
    var: Path = tmp_path_factory.mktemp("at-once")
    env = {
        **os.environ,
        "DATABASE_URL": postgresql_cluster.migrated_database(),
        "STAGING_DIR": str(var / "staging"),
        "NODE_NAME": "node",
    }
    argv = [sys.executable, "-m", "tests.system.at_once"]
    done = subprocess.run(argv, env=env, cwd=PROJECT, check=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def test_part_is_taken_once(outcome: Any) -> None:
    assert outcome["takers"] == 1


def test_concurrent_requests_of_the_same_abort_create_one_operation(outcome: Any) -> None:
    assert outcome["operations"] == 1


def test_concurrent_reservations_stay_within_the_quota(outcome: Any) -> None:
    assert outcome["reserved_bytes"] == 30
