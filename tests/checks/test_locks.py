"""The lock files of the Python packages belong to their lists, and name a digest of every package."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import locks

HASH = "    --hash=sha256:" + 64 * "a"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one list, which includes another one."""
    monkeypatch.setattr(locks, "PROJECT", tmp_path)
    monkeypatch.setattr(locks, "LOCKS", tmp_path)
    monkeypatch.setattr(locks, "LISTS", {"all": "all.txt"})
    (tmp_path / "all.txt").write_text("-r some.txt\ndjango==5.2\n")
    (tmp_path / "some.txt").write_text("celery==5.7\n")
    return tmp_path


def lock(*packages: str) -> None:
    locks.lock_of("all").write_text(locks.header("all") + "".join(f"{each}\n" for each in packages))


def texts() -> list[str]:
    return [each.text for each in locks.findings()]


def test_lock_file_of_the_current_state_passes(project: Path) -> None:
    lock(f"celery==5.7 \\\n{HASH}", f"django==5.2 ; python_version < '3.14' \\\n{HASH} \\\n{HASH}")
    assert texts() == []


@pytest.mark.parametrize("changed", ["all.txt", "some.txt"])
def test_changed_list_needs_another_lock_file(project: Path, changed: str) -> None:
    lock(f"django==5.2 \\\n{HASH}")
    (project / changed).write_text("django==5.3\n")
    assert texts() == ["is not of this state of all.txt"]


def test_missing_lock_file_is_found(project: Path) -> None:
    assert texts() == ["is not of this state of all.txt"]


@pytest.mark.parametrize("package", ["django==5.2", f"django \\\n{HASH}", "django==5.2 \\\n    --hash=sha256:ab"])
def test_package_needs_a_version_and_a_digest(project: Path, package: str) -> None:
    lock(f"celery==5.7 \\\n{HASH}", package)
    assert texts() == ["has a package without an exact version and digests"]
