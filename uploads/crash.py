"""Named points between two effects at which a test can have this process die, as the kernel or a power cut would.

Nothing happens but where PARTWAY_CRASH_DIR names a folder and a file in it has the point's name: that file is taken, so
that a point kills once, and the process with it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_FOLDER = os.environ.get("PARTWAY_CRASH_DIR", "")


def point(name: str) -> None:
    """Die here if a test wants it."""
    if _FOLDER and _take(Path(_FOLDER) / name):
        os.kill(os.getpid(), signal.SIGKILL)


def _take(trigger: Path) -> bool:
    try:
        trigger.unlink()
    except FileNotFoundError:
        return False
    return True
