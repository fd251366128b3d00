"""`manage.py sweep` while workers run: it is a dry run until an approved plan is run with --really."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.test_sweeps import DEAD, THRESHOLDS
from tests.system.stack import Stack, wait_for


@pytest.fixture
def bucket(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """A bucket with two uploads that are dead at once, as its store is set."""
    name = stack.new_bucket()
    for key in ("a", "b"):
        stack.create_upload(name, key, {2: 1000}, tmp_path / "scratch")
    stack.run_python(THRESHOLDS.format(store=stack.store, at_once=True))
    stack.manage("scan", "--store", stack.store, "--bucket", name, "--wait")
    wait_for("verdicts", lambda: stack.query(DEAD, name)[0][0] == 2)
    yield name
    stack.run_python(THRESHOLDS.format(store=stack.store, at_once=False))


def test_nothing_is_aborted_before_an_approved_plan_is_really_run(stack: Stack, bucket: str) -> None:
    user = ("--user", stack.admin.username)
    planned = stack.manage("sweep", "plan", "--bucket", bucket, "--verdict", "dead", *user)
    assert "planned, 2 uploads with 1.95 KiB" in planned
    assert "Cost in a month: price not set for 1.95 KiB" in planned
    assert f"{stack.store}/{bucket} a dead planned" in planned
    found = re.search(r"Sweep (\S+): ", planned), re.search(r"Digest of the plan: (\S+)", planned)
    assert found[0] is not None
    assert found[1] is not None
    sweep_id, digest = found[0][1], found[1][1]
    assert "Nothing was aborted" in stack.manage("sweep", "run", sweep_id, "--really", *user, status=3)
    stack.manage("sweep", "approve", sweep_id, "--digest", "other", *user, status=1)
    assert "Nothing is aborted until" in stack.manage("sweep", "approve", sweep_id, "--digest", digest, *user)
    assert "Nothing was aborted" in stack.manage("sweep", "run", sweep_id, *user, status=3)
    assert len(stack.uploads_in(bucket)) == 2
    done = stack.manage("sweep", "run", sweep_id, "--really", *user)
    assert "2 aborted, 0 spared, 0 failed, 0 unknown, 0 not begun. Freed: 1.95 KiB" in done
    assert stack.uploads_in(bucket) == []


def test_wrong_arguments_are_refused(stack: Stack) -> None:
    user = ("--user", stack.admin.username)
    assert "at least one verdict" in stack.manage("sweep", "plan", "--older-than", "9d", *user, status=2)
    assert "no active user" in stack.manage("sweep", "plan", "--verdict", "dead", "--user", "nobody", status=2)
