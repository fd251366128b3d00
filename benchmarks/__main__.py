"""`python -m benchmarks [NAME ...]`: run all benchmarks, or those named. Exit code 1 when a limit is not kept."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import listing, memory, pipeline, upload
from tests.system import stack

BENCHMARKS: dict[str, Callable[[stack.Stack, Path], bool]] = {
    "listing": listing.run,
    "upload": upload.run,
    "pipeline": pipeline.run,
    "memory": memory.run,
}
"""Each prints what it measured and says whether its limits were kept."""


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    kept = [_run(name) for name in names or BENCHMARKS]
    return 0 if all(kept) else 1


def _run(name: str) -> bool:
    """Each on a stack of its own, so that none measures what another left."""
    module = sys.modules[f"benchmarks.{name}"]
    print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="partway-bench-") as folder:
        scratch = Path(folder)
        with stack.running(scratch / "var", getattr(module, "ENVIRONMENT", None)) as running:
            return BENCHMARKS[name](running, scratch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
