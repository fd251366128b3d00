"""Creates our tables in databases that other databases are copied from, because the migrations take seconds."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.installation import PROJECT

KEPT = PROJECT / ".pytest_cache"
"""Where the tests keep what they share, and what later runs use again."""

SOURCES = ("uploads/migrations", "uploads/database", "locks")
"""What decides how the tables and triggers of a new database look. Some tables are those of packages."""


SECRETS = {"SECRET_KEY": "only for migrating", "CREDENTIALS_KEYS": "Kx0MZ1y0Sx5F5jrm2l9vT3m3s0kTn4u6fJm9p7D2ZbE="}
"""The settings do not load without secrets, which the environment of a benchmark lacks."""


def migrate(url: str) -> None:
    """Run all migrations in a separate process, because the settings of a process name one database."""
    argv = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(argv, env={**SECRETS, **os.environ, "DATABASE_URL": url}, cwd=PROJECT, check=True)


def migrated_sqlite() -> Path:
    """A file with our tables, to be copied. It is kept until one of the sources changes."""
    return kept("sqlite3", lambda path: migrate(f"sqlite:///{path}"))


def kept(suffix: str, make: Callable[[Path], None]) -> Path:
    """A file with our tables, which `make` makes once: processes that need it at the same time wait for the first."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"migrated-{_digest()}.{suffix}"
    with (KEPT / f"migrated.{suffix}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            for old in KEPT.glob(f"migrated-*.{suffix}*"):
                old.unlink()
            unfinished = path.with_suffix(f".{suffix}-unfinished")
            make(unfinished)
            unfinished.rename(path)
    return path


def _digest() -> str:
    files = sorted(path for folder in SOURCES for path in (PROJECT / folder).glob("*.*"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
