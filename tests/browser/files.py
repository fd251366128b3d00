"""Files that tests select in the browser."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

KIB = 1024
MIB = 1024**2


def write_file(path: Path, size: int) -> str:
    """Create a file of random bytes, and its folders. Returns its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source, digest = random.Random(f"{path.name} {size}"), hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            block = source.randbytes(min(MIB, size - start))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
