"""`python -m benchmarks [NAME ...]`: run all or the named benchmarks. The exit code is 1 if a limit is not met.

Results are written to BENCH_RESULTS, a folder, as results.json and as plots.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    aborting,
    large,
    listing,
    long_page,
    memory,
    overlap,
    parts,
    peers,
    scanning,
    small_files,
    watchdog,
    watching,
)
from benchmarks.results import Results
from local.installation import PROJECT
from tests.stores.postgresql import running as running_postgresql
from tests.system import stack

PLOTS = Path(__file__).with_name("plots.py")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`is_alone`: on a stack of its own, with these settings. The others share one, measured at the end."""

    run: Callable[[stack.Stack, Path, Results], None]
    is_alone: bool = False
    settings: Mapping[str, str] | None = None
    needs_postgresql: bool = False


BENCHMARKS = {
    "large": Benchmark(large.run),
    "small_files": Benchmark(small_files.run),
    "listing": Benchmark(listing.run),
    "long_page": Benchmark(long_page.run),
    "parts": Benchmark(parts.run),
    "aborting": Benchmark(aborting.run),
    "watching": Benchmark(watching.run),
    "overlap": Benchmark(overlap.run),
    "small_files_postgresql": Benchmark(small_files.run, is_alone=True, needs_postgresql=True),
    "scanning": Benchmark(scanning.run, is_alone=True),
    "memory": Benchmark(memory.run, is_alone=True, settings=memory.ENVIRONMENT),
    "watchdog": Benchmark(watchdog.run, is_alone=True, settings=watchdog.ENVIRONMENT),
}


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. The benchmarks are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    # Expected refusals, such as those of uploads that are gone, would hide the results.
    logging.disable(logging.WARNING)
    results = Results()
    chosen = {name: BENCHMARKS[name] for name in names or BENCHMARKS}
    together = {name: each for name, each in chosen.items() if not each.is_alone}
    try:
        if together:
            with _stack() as running:
                for name, benchmark in together.items():
                    _run(name, benchmark, running, results)
                memory.show_peaks(running, "after all of these", results)
        for name, benchmark in chosen.items():
            if benchmark.is_alone:
                with _stack(benchmark) as running:
                    _run(name, benchmark, running, results)
    finally:
        _write(results)
    return 0 if results.are_met else 1


@contextmanager
def _stack(benchmark: Benchmark | None = None) -> Iterator[stack.Stack]:
    settings = dict(benchmark.settings or {}) if benchmark else {}
    with tempfile.TemporaryDirectory(prefix="partway-bench-") as folder:
        scratch = Path(folder)
        if benchmark is not None and benchmark.needs_postgresql:
            with running_postgresql(scratch, is_durable=True) as cluster:
                settings["DATABASE_URL"] = cluster.migrated_database()
                with stack.running(scratch / "var", settings, embedded=True) as running:
                    yield running
            return
        with stack.running(scratch / "var", settings, embedded=True) as running:
            yield running


def _run(name: str, benchmark: Benchmark, running: stack.Stack, results: Results) -> None:
    module = sys.modules[benchmark.run.__module__]
    print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="partway-bench-") as folder:
        benchmark.run(running, Path(folder), results)


def _write(results: Results) -> None:
    folder = Path(os.environ.get("BENCH_RESULTS", PROJECT / "var" / "benchmarks"))
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    about = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "load": os.getloadavg()}
    path = folder / "results.json"
    path.write_text(json.dumps(about | {"results": [each.as_json() for each in results.all]}, indent=1) + "\n")
    subprocess.run([peers.PROGRAMS / "python", PLOTS, path, folder], check=True)
    print(f"\nresults and plots: {folder}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
