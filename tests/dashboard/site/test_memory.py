"""The memory of our processes: no core files, no look from outside, and collections of garbage that find little."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.installation import PROJECT

A_KEY = "Kx0MZ1y0Sx5F5jrm2l9vT3m3s0kTn4u6fJm9p7D2ZbE="

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


LOADED = """
import gc, sys
from dashboard.site.memory import leave_out_what_is_loaded
loaded = [[] for _ in range(1000)]
leave_out_what_is_loaded()
sys.exit(0 if gc.get_freeze_count() > 1000 and len(gc.get_objects()) < 1000 else 1)
"""


UNUSED = """
import sys
import django
from django.urls import get_resolver
django.setup()
assert get_resolver().url_patterns
found = [each for each in sys.argv[1:] if each in sys.modules]
print(found)
sys.exit(len(found))
"""


def run(code: str, folder: Path, *arguments: str) -> int:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "A_SECRET": "x", "PARTWAY_VAR": str(folder)}
    env |= {"DJANGO_SETTINGS_MODULE": "dashboard.site.settings", "SECRET_KEY": "x", "CREDENTIALS_KEYS": A_KEY}
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=env, check=False).returncode


def test_process_that_aborts_leaves_no_core(tmp_path: Path) -> None:
    assert run(CRASH, tmp_path) in (0, -signal.SIGABRT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_environment_is_unreadable_for_processes_of_the_same_user(tmp_path: Path) -> None:
    assert run(READ, tmp_path) == 0, "it can be read without the protection"
    assert run(READ, tmp_path, "protect") == 13


def test_collections_of_garbage_leave_out_what_is_loaded(tmp_path: Path) -> None:
    assert run(LOADED, tmp_path) == 0


def test_pages_load_only_what_the_installation_uses(tmp_path: Path) -> None:
    """With SQLite and without single sign-on. psycopg alone takes 10 MiB."""
    assert run(UNUSED, tmp_path, "psycopg", "authlib", "joserfc", "markdown_it", "segno") == 0
