"""How a check reports what it found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One line of one file that breaks a rule."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(PROJECT)}:{self.line}: {self.text}"


def report(rule: str, findings: Iterable[Finding], allowed: int = 0) -> int:
    """Print the findings, and give the exit status: 1 if there are more than `allowed`."""
    found = sorted(findings)
    if len(found) > allowed:
        print(*found, sep="\n")
    print(f"{rule}: {len(found)} found" + (f", {allowed} allowed" if allowed else ""))
    return int(len(found) > allowed)
