"""`make run` from end to end, in temporary folders."""

from __future__ import annotations

import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from local import demo, live, ports
from local.installation import BUCKET, Folder
from local.swift import ACCESS_KEY, LOOPBACK_URL, REGION
from tests.local.launching import Launcher, wait_until_gone
from tests.system.stack import wait_for
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import Credentials, StoreConfig


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("installation") / "var"


@pytest.fixture(scope="module")
def port() -> int:
    return ports.choose(1)[0]


@pytest.fixture(scope="module")
def first(var: Path, port: int) -> Iterator[Launcher]:
    """The first run of an installation. The last test that uses it stops it."""
    launcher = Launcher(var, port)
    launcher.wait_until_ready()
    yield launcher
    launcher.close()


@pytest.fixture
def later(first: Launcher, var: Path, port: int) -> Iterator[Launcher]:
    """A later run in the same folder."""
    first.close()
    launcher = Launcher(var, port)
    launcher.wait_until_ready()
    yield launcher
    launcher.close()


def _keys_in_progress(var: Path) -> list[str]:
    kept = Folder(var).load()
    credentials = Credentials(ACCESS_KEY, kept.store_secret_key)
    config = StoreConfig(LOOPBACK_URL.format(kept.store_ports[3]), REGION, credentials, provider="swift")
    with ObjectStoreClient(config) as client:
        return sorted(upload.key for page in client.iter_multipart_uploads(BUCKET) for upload in page.uploads)


def _planned_keys() -> list[str]:
    return sorted([*(planned.key for planned in demo.planned_uploads()), live.KEY])


def test_first_run_shows_its_address_and_login(first: Launcher) -> None:
    assert first.wait_for(r"Partway is ready: (\S+)")[1] == first.url
    password = first.wait_for(r"Log in as admin with the password (\S+)")[1]
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(first.url + "login/", timeout=30)
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": session.cookies["partway_csrf"]}
        response = session.post(page.url, data=form, allow_redirects=False, timeout=30)
    assert response.status_code == requests.codes.found


def test_files_with_secrets_are_private(first: Launcher, var: Path) -> None:
    assert var.stat().st_mode & 0o777 == 0o700
    for name in ("kept.json", "env", "supervisord.conf", "redis/redis.conf", "db.sqlite3"):
        assert (var / name).stat().st_mode & 0o077 == 0, name


def test_demo_bucket_is_filled(first: Launcher, var: Path) -> None:
    assert _keys_in_progress(var) == _planned_keys()


def test_first_scan_finds_all_demo_data(first: Launcher, var: Path) -> None:
    """It starts after the bucket is filled."""
    query = "SELECT key FROM uploads_inventoryupload WHERE (SELECT finished_at FROM uploads_scan LIMIT 1) IS NOT NULL"

    def keys() -> list[str]:
        with sqlite3.connect(f"file:{var / 'db.sqlite3'}?mode=ro", uri=True, timeout=20) as connection:
            return sorted(key for (key,) in connection.execute(query))

    assert wait_for("the end of the first scan", keys) == _planned_keys()


def test_second_run_in_the_same_folder_is_refused(first: Launcher, var: Path) -> None:
    second = Launcher(var, ports.choose(1)[0])
    assert second.wait() == 1
    assert f"already running in this folder, as process {first.pid}: {first.url}" in second.output


@pytest.mark.parametrize(("name", "command"), [("sender", ["sender@%h"]), ("web", ["dashboard.server"])])
def test_killed_process_is_restarted(first: Launcher, name: str, command: list[str]) -> None:
    process = first.process(*command)
    family = [process, *process.children(recursive=True)]
    process.kill()
    first.wait_for(rf"partway: {name} stopped \(killed by signal 9\); restarting it")
    first.wait_for(rf"partway: {name} is running again")
    wait_until_gone(family)


def test_interrupt_ends_every_process(first: Launcher) -> None:
    processes = first.processes()
    assert first.interrupt() == 0
    wait_until_gone(processes)


def test_later_run_keeps_all_data_and_does_not_seed_again(later: Launcher, var: Path) -> None:
    assert "filling the bucket" not in later.output
    assert "password" not in later.output
    assert _keys_in_progress(var) == _planned_keys()


@pytest.mark.parametrize("victim", ["launcher", "supervisord"])
def test_no_process_survives_its_supervisor(later: Launcher, victim: str) -> None:
    processes = later.processes()
    killed = processes[0] if victim == "launcher" else later.process("supervisord")
    killed.send_signal(signal.SIGKILL)
    later.wait()
    wait_until_gone(processes)


def test_unreachable_redis_is_named_without_its_password(tmp_path: Path) -> None:
    unused_port = ports.choose(1)[0]
    launcher = Launcher(tmp_path / "var", ports.choose(1)[0], REDIS_URL=f"redis://:secret@127.0.0.1:{unused_port}/0")
    assert launcher.wait() == 1
    assert f"The Redis of REDIS_URL, 127.0.0.1:{unused_port}, does not respond" in launcher.output
    assert "secret" not in launcher.output


def test_unusable_database_is_reported(tmp_path: Path) -> None:
    launcher = Launcher(tmp_path / "var", ports.choose(1)[0], DATABASE_URL=f"sqlite:///{tmp_path}/none/db.sqlite3")
    assert launcher.wait() == 1
    assert "could not be prepared" in launcher.output
    assert "unable to open database file" in launcher.output


def test_port_in_use_is_reported_with_its_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        launcher = Launcher(tmp_path / "var", port)
        assert launcher.wait() == 1
    me = psutil.Process()
    assert f"Port {port} is in use by {me.name()} (process {me.pid})" in launcher.output
    assert "PORT=" in launcher.output
