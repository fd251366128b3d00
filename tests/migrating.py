"""Creates our tables in a database that other databases of tests are copied from."""

from __future__ import annotations

import os
import subprocess
import sys

from local.installation import PROJECT


def migrate(url: str) -> None:
    """Run all migrations in a separate process, because the settings of a process name one database."""
    argv = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(argv, env={**os.environ, "DATABASE_URL": url}, cwd=PROJECT, check=True)
