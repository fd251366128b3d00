"""What an installation keeps, the environment of its processes, and what is refused before anything starts."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from dotenv import dotenv_values

from local import installation, launcher, preflight, swift
from local.installation import Folder
from local.memcache_filter import LocalCache
from local.preflight import Refusal


@pytest.fixture
def var(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "var")
    folder.make()
    return folder


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in installation.SETTINGS:
        monkeypatch.delenv(name, raising=False)


def test_secrets_are_chosen_once(var: Folder) -> None:
    kept = var.load()
    assert var.load() == kept
    Fernet(kept.credentials_key)


def test_missing_state_of_an_older_version_is_chosen(var: Folder) -> None:
    (var.path / "kept.json").write_text(json.dumps({"secret_key": "old"}))
    kept = var.load()
    assert kept.secret_key == "old"
    assert kept == var.load()


@pytest.mark.usefixtures("no_settings")
def test_environment_of_the_user_takes_precedence(var: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/partway")
    monkeypatch.setenv("STAGING_QUOTA", "1000")
    settings = installation.settings_environment(var, var.load(), "redis://x", "127.0.0.1")
    assert settings["DATABASE_URL"] == "postgres://somewhere/partway"
    assert settings["STAGING_QUOTA"] == "1000"
    assert settings["STAGING_DIR"] == str(var.path / "staging")


def test_environment_file_can_be_read_back(var: Folder) -> None:
    settings = {"PLAIN": "a,b", "AWKWARD": 'it\'s a \\ # and "more"', "EMPTY": ""}
    installation.write_environment(var, settings)
    assert dotenv_values(var.environment) == settings
    assert var.environment.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("no_settings")
def test_processes_do_not_inherit_the_admin_password(var: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "hunter2")
    assert "ADMIN_PASSWORD" not in installation.process_environment(var, {})


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "٨"])
def test_invalid_port_is_refused(port: str) -> None:
    with pytest.raises(Refusal, match="is not a port"):
        preflight.read_address({"PORT": port})


def test_address_has_defaults() -> None:
    assert preflight.read_address({}) == ("127.0.0.1", 8000)


def test_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 5 * 1024**2))
    with pytest.raises(Refusal, match="has 5 MiB free"):
        preflight.check_disk(tmp_path)


def test_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match="is not writable: Not a directory"):
        preflight.check_folder(Folder(tmp_path / "file" / "var"))


def test_file_system_without_user_attributes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(swift.StoreError, match="does not support user attributes"):
        swift.prepare(tmp_path, [1, 2, 3, 4], "secret")


def test_cache_counts_expires_and_deletes() -> None:
    cache = LocalCache()
    cache.set("a", {"b": 1}, time=60)
    assert cache.get("a") == {"b": 1}
    assert [cache.incr("n"), cache.incr("n", 4), cache.decr("n", 10)] == [1, 5, 0]
    cache.set("old", 1, time=40 * 86_400)  # More than 30 days is a date, here one in 1970.
    assert cache.get("old") is None
    cache.delete("a")
    assert cache.get("a") is None
    cache.set_multi({"x": 1, "y": 2}, "server")
    assert cache.get_multi(["x", "y", "z"], "server") == [1, 2, None]


def test_cache_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.memcache_filter.MAX_ENTRIES", 10)
    cache = LocalCache()
    for number in range(100):
        cache.set(str(number), number)
    assert cache.get("99") == 99
    assert sum(cache.get(str(number)) is not None for number in range(100)) <= 10


@pytest.mark.usefixtures("no_settings")
def test_sub_path_is_part_of_the_printed_url(var: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB_PATH", "/partway")
    path = preflight.read_sub_path(os.environ)
    plan = launcher.make_plan(var, "0.0.0.0", 8000, path)
    assert plan.url == "http://localhost:8000/partway/"
    assert plan.env["SUB_PATH"] == "/partway"


@pytest.mark.parametrize("path", ["partway", "/partway/", "/stores"])
def test_sub_path_that_cannot_work_is_refused(path: str) -> None:
    with pytest.raises(Refusal, match=rf"^SUB_PATH={path} "):
        preflight.read_sub_path({"SUB_PATH": path})


def test_every_setting_of_the_site_is_written_to_the_file() -> None:
    """A setting that is not in the list would be left out of the environment of the processes if it is a secret."""
    read = (installation.PROJECT / "dashboard" / "site" / "settings.py").read_text()
    names = set(re.findall(r'(?:env\.\w+|_required|_\w+)\(\s*"([A-Z][A-Z_]+)"', read))
    assert names - set(installation.SETTINGS) == set()


@pytest.mark.usefixtures("no_settings")
def test_environments_of_processes_have_no_secrets(var: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METRICS_TOKEN", "AWS_SECRET_ACCESS_KEY", "ADMIN_PASSWORD", "STORE_SECRET_KEY", "OIDC_CLIENT_SECRET"):
        monkeypatch.setenv(name, f"the value of {name}")
    plan = launcher.make_plan(var, "127.0.0.1", 8000)
    kept = var.load()
    secrets = {kept.secret_key, kept.credentials_key, kept.redis_password, kept.store_secret_key, "the value of"}
    seen = repr(plan.process_env) + repr([process.argv for process in plan.processes])
    assert [secret for secret in secrets if secret in seen] == []
    assert "the value of METRICS_TOKEN" in var.environment.read_text()
    ours = [process.name for process in plan.processes if process.argv[:2] != ["env", "-i"]]
    assert sorted(ours) == ["beat", "scanner", "sender", "watcher", "web", "worker"]
