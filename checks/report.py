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


def report(rule: str, findings: Iterable[Finding]) -> int:
    """Print the findings. Returns the exit status: 1 if there are any."""
    found = sorted(findings)
    print(*found, f"{rule}: {len(found)} found", sep="\n")
    return int(bool(found))
