"""A disk of the database that is really full: a small file system, filled to its last byte under a live web server."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stack import MIB, Operator, Stack, sqlite_path, wait_for


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB in memory, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount") or "mount"
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=32m", "none", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """A file with all bytes that are left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        block = bytes(MIB)
        while block:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]
    return filler


def copy_database(stack: Stack, disk: Path) -> str:
    """A copy of the database on another disk. Returns its URL."""
    source = sqlite_path(stack.environment)
    with sqlite3.connect(source) as old, sqlite3.connect(disk / "db.sqlite3") as new:
        old.backup(new)
    return f"sqlite:///{disk / 'db.sqlite3'}"


def test_web_server_whose_database_has_no_space(stack: Stack, small_disk: Path, tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": copy_database(stack, small_disk),
        "STAGING_DIR": str(tmp_path / "staging"),
        "NODE_NAME": "small",
    }
    log = tmp_path / "web.log"
    with stack.another_web_server(log, **settings) as url, stack.signed_in() as original:
        operator = Operator(url, original.session)
        operator.session.cookies.clear()
        operator.sign_in(stack.admin)
        bucket = stack.new_bucket()
        filler = fill(small_disk)
        assert os.statvfs(small_disk).f_bavail == 0
        # What only reads responds.
        for path in ("/healthz", "/transfers/", "/stores/"):
            assert operator.session.get(url + path).status_code == 200, path
        assert operator.get_json("/transfers/")["transfers"] is not None
        # What writes says why it cannot.
        with pytest.raises(Exception, match="507"):
            operator.send_file(stack.store, bucket, "k", b"abc")
        page = operator.session.post(
            f"{url}/transfers/new/",
            data={"csrfmiddlewaretoken": operator.csrf_token, "store": stack.store, "bucket": bucket, "key": "k"},
            files={"file": ("f", b"abc")},
            headers={"Referer": url},
        )
        assert page.status_code == 507
        assert "The disk of the database of Partway is full" in page.text
        # And works again once there is space.
        filler.unlink()
        assert wait_for("space", lambda: operator.send_file(stack.store, bucket, "k", b"abc"))
    text = log.read_text()
    assert "Internal Server Error" not in text
