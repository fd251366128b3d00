"""Crash points: named points between two effects at which a test can kill this process, as a power failure would.

A point has an effect only if the folder PARTWAY_CRASH_DIR has a file with its name. The file is removed first, so that
a point kills only one process.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_FOLDER = os.environ.get("PARTWAY_CRASH_DIR", "")


def point(name: str) -> None:
    """End this process with SIGKILL if a test has set the point."""
    if _FOLDER and _take(Path(_FOLDER) / name):
        os.kill(os.getpid(), signal.SIGKILL)


def _take(trigger: Path) -> bool:
    try:
        trigger.unlink()
    except FileNotFoundError:
        return False
    return True
