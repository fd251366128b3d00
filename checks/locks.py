"""`python -m checks.locks`: every list of Python packages has a lock file of the same state, with digests.

`python -m checks.locks --write` writes them. uv resolves the versions, for all platforms and versions of Python.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from checks.report import PROJECT, Finding, report

LOCKS = PROJECT / "locks"
LISTS = {
    "development": "requirements-dev.txt",
    "local": "requirements-local.txt",
    "runtime": "requirements.txt",
    "bench": "requirements-bench.txt",
    "node": "locks/node.txt",
    "go": "locks/go.txt",
}
"""By the name of the lock file. The first contains the next two, which get the same versions."""
CONSTRAINED = frozenset({"local", "runtime"})

OLDEST_PYTHON = "3.11"
NESTED = re.compile(r"^-r (\S+)$", re.MULTILINE)
PACKAGE = re.compile(r"^[a-z0-9]\S*==\S+.*(?:\n +--hash=sha256:[0-9a-f]{64}(?: \\)?)+$", re.MULTILINE)
NAMED = re.compile(r"^[a-z0-9].*$", re.MULTILINE)


def main() -> int:
    if "--write" in sys.argv[1:]:
        for name in LISTS:
            write(name)
    return report("Lock files that do not belong to their lists: run `make lock`", findings())


def findings() -> Iterator[Finding]:
    for name, list_name in LISTS.items():
        path = lock_of(name)
        text = path.read_text() if path.exists() else ""
        if not text.startswith(header(name)):
            yield Finding(path, 1, f"is not of this state of {list_name}")
        elif len(PACKAGE.findall(text)) != len(NAMED.findall(text)):
            yield Finding(path, 1, "has a package without an exact version and digests")


def lock_of(name: str) -> Path:
    return LOCKS / f"{name}.lock"


def header(name: str) -> str:
    return (
        f"# `make lock` writes this file from {LISTS[name]}.\n# State of the list: {state_of(PROJECT / LISTS[name])}\n"
    )


def state_of(path: Path) -> str:
    """A digest of a list and of those that it includes."""
    text = path.read_text()
    nested = "".join(state_of(path.parent / name) for name in NESTED.findall(text))
    return hashlib.sha256((text + nested).encode()).hexdigest()


def write(name: str) -> None:
    """Write a lock file. Versions that are in it stay, as far as the list allows them."""
    path = lock_of(name)
    argv = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
    argv += ["--no-annotate", "--no-header", "--output-file", str(path), str(PROJECT / LISTS[name])]
    if name in CONSTRAINED:
        argv += ["--constraint", str(lock_of("development"))]
    program = Path(sys.executable).with_name(argv[0])
    subprocess.run([program, *argv[1:]], cwd=PROJECT, check=True)
    path.write_text(header(name) + path.read_text())


if __name__ == "__main__":
    sys.exit(main())
