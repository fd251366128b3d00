"""`python -m benchmarks [NAME ...]`: run all or the named benchmarks. The exit code is 1 if a limit is exceeded."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import listing, long_page, memory, pipeline, scanning, small_files, upload, watchdog
from tests.system import stack

BENCHMARKS: dict[str, Callable[[stack.Stack, Path], bool]] = {
    "listing": listing.run,
    "long_page": long_page.run,
    "upload": upload.run,
    "pipeline": pipeline.run,
    "memory": memory.run,
    "watchdog": watchdog.run,
    "scanning": scanning.run,
    "small_files": small_files.run,
}
"""Each function prints its results and returns whether all limits are met."""


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. The benchmarks are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    met = [_run(name) for name in names or BENCHMARKS]
    return 0 if all(met) else 1


def _run(name: str) -> bool:
    """Run a benchmark on a new stack, so that benchmarks do not influence each other."""
    module = sys.modules[f"benchmarks.{name}"]
    print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="partway-bench-") as folder:
        scratch = Path(folder)
        with stack.running(scratch / "var", getattr(module, "ENVIRONMENT", None)) as running:
            return BENCHMARKS[name](running, scratch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
