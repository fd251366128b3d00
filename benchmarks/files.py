"""Files to send."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1024**2


def write_random(file: Path, size: int) -> None:
    """Write `size` random bytes, which cannot be compressed."""
    with file.open("wb") as out:
        for _ in range(size // MIB):
            out.write(os.urandom(MIB))
