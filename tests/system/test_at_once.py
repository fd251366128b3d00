"""What SQLite forgives, as it lets one writer in at a time: many at the same moment, on PostgreSQL."""

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
    """What came of it all; of who failed on the way, standard error tells."""
    var: Path = tmp_path_factory.mktemp("at-once")
    env = {**os.environ, "DATABASE_URL": postgresql_cluster.new_database(), "STAGING_DIR": str(var / "staging")}
    argv = [sys.executable, "-m", "tests.system.at_once"]
    done = subprocess.run(argv, env=env, cwd=PROJECT, check=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def test_a_part_is_taken_once(outcome: Any) -> None:
    assert outcome["takers"] == 1


def test_the_same_ordered_by_many_is_one_operation(outcome: Any) -> None:
    assert outcome["operations"] == 1


def test_room_is_never_given_twice(outcome: Any) -> None:
    assert outcome["room"] == 30
