"""Processes with secrets leave no core files, and other processes of their user cannot read their memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.installation import PROJECT

CRASH = """
import ctypes, os, pathlib, resource, sys
from dashboard.site.memory import protect_memory
protect_memory()
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0, "PR_GET_DUMPABLE"
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
if os.fork():
    sys.exit(os.WCOREDUMP(os.wait()[1]))
os.abort()
"""

READ = """
import ctypes, os, signal, sys
from dashboard.site.memory import protect_memory
os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a process that changes its user is protected until then
read, write = os.pipe()
child = os.fork()
if not child:
    if sys.argv[1:]:
        protect_memory()
    os.write(write, b".")
    signal.pause()
os.read(read, 1)
try:
    with open(f"/proc/{child}/environ") as environment:
        sys.exit(0 if "A_SECRET" in environment.read() else 1)
except PermissionError:
    sys.exit(13)
finally:
    os.kill(child, signal.SIGKILL)
"""


def run(code: str, folder: Path, *arguments: str) -> int:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "A_SECRET": "x"}
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=env, check=False).returncode


def test_process_that_aborts_leaves_no_core(tmp_path: Path) -> None:
    assert run(CRASH, tmp_path) in (0, -signal.SIGABRT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_environment_is_unreadable_for_processes_of_the_same_user(tmp_path: Path) -> None:
    assert run(READ, tmp_path) == 0, "it can be read without the protection"
    assert run(READ, tmp_path, "protect") == 13
