"""What the check of vulnerabilities makes of the output of pip-audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks import vulnerabilities

VULNERABLE: list[dict[str, Any]] = [
    {"name": "celery", "version": "5.7", "vulns": []},
    {"name": "django", "version": "5.2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["5.2.1"]}]},
    {"name": "ours", "skip_reason": "Dependency not found on PyPI"},
]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "some.lock"
    path.write_text("celery==5.7 \\\ndjango==5.2 \\\n")
    return path


def test_vulnerability_is_reported_at_its_package(lock: Path) -> None:
    found = [(each.line, each.text) for each in vulnerabilities.findings(lock, VULNERABLE)]
    assert found == [(2, "django==5.2: PYSEC-1, fixed in 5.2.1")]


def test_accepted_vulnerability_is_not_reported(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulnerabilities, "ACCEPTED", {"PYSEC-1": "Partway does not use this function."})
    assert list(vulnerabilities.findings(lock, VULNERABLE)) == []


def test_check_passes_without_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert vulnerabilities.main() == 0
    assert "not checked" in capsys.readouterr().out
