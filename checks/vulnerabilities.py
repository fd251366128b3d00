"""`python -m checks.vulnerabilities`: known vulnerabilities of the Python packages, as pip-audit finds them on PyPI.

Without network, the check says that it did not run and passes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checks.locks import lock_of
from checks.report import Finding, report

ACCEPTED: dict[str, str] = {}
"""Ids of vulnerabilities that do not affect Partway, and why."""

TIMEOUT_SECONDS = 20
"""Of one request to PyPI."""


def main() -> int:
    path = lock_of("development")
    found = audit(path)
    if found is None:
        sys.stdout.write("Known vulnerabilities: not checked, because PyPI does not respond\n")
        return 0
    packages: list[dict[str, Any]] = found["dependencies"]
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if unknown:
        sys.stdout.write(f"PyPI knows nothing about {len(unknown)} of {len(packages)} packages\n")
    return report("Packages with known vulnerabilities", findings(path, packages))


def audit(path: Path) -> dict[str, Any] | None:
    """What pip-audit finds; None if it gets no response."""
    program = Path(sys.executable).with_name("pip-audit")
    options = ["--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off"]
    argv = [str(program), *options, f"--timeout={TIMEOUT_SECONDS}", f"--requirement={path}"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        reason = done.stderr.strip().rpartition("\n")[2] or f"ended with status {done.returncode}"
        sys.stderr.write(f"pip-audit: {reason}\n")
        return None


def findings(path: Path, packages: list[dict[str, Any]]) -> Iterator[Finding]:
    lines = path.read_text().splitlines()
    for package in packages:
        pin = f"{package['name']}=={package.get('version')}"
        number = next((number for number, line in enumerate(lines, 1) if line.startswith(pin)), 1)
        for each in package.get("vulns", ()):
            if each["id"] not in ACCEPTED:
                fixed = ", ".join(each["fix_versions"]) or "no version yet"
                yield Finding(path, number, f"{pin}: {each['id']}, fixed in {fixed}")


if __name__ == "__main__":
    sys.exit(main())
