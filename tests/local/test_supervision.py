"""The configuration of supervisord, and the messages on the terminal."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from local.supervision import Announcer, Process, beat, last_lines, watcher, web, worker, write_conf


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def announcer(tmp_path: Path, messages: list[str]) -> Announcer:
    return Announcer(tmp_path, messages.append)


def test_process_that_dies_and_restarts_is_reported_twice(announcer: Announcer, messages: list[str]) -> None:
    announcer.handle("2026-11-23 10:00:00,000 INFO success: web entered RUNNING state, process has stayed up")
    announcer.handle("2026-11-23 10:00:01,000 WARN exited: worker (terminated by SIGKILL; not expected)")
    announcer.handle("2026-11-23 10:00:02,000 INFO spawned: 'worker' with pid 12")
    announcer.handle("2026-11-23 10:00:05,000 INFO success: worker entered RUNNING state, process has stayed up")
    assert messages == ["worker stopped (killed by signal 9); restarting it", "worker is running again"]


def test_process_that_cannot_start_is_reported_with_its_log_at_growing_intervals(
    announcer: Announcer, messages: list[str], tmp_path: Path
) -> None:
    (tmp_path / "web.log").write_text("first\nModuleNotFoundError: No module named 'x'\n")
    for _ in range(9):
        announcer.handle("WARN exited: web (exit status 1; not expected)")
    assert messages[0] == "web stopped (exit status 1); restarting it"
    assert len(messages) == 4
    assert "    ModuleNotFoundError: No module named 'x'" in messages[1]
    assert "2 times in a row" in messages[1]
    assert "8 times in a row" in messages[3]


def test_unexpected_clean_exit_is_reported(announcer: Announcer, messages: list[str]) -> None:
    announcer.handle("INFO exited: beat (exit status 0; expected)")
    assert messages == ["beat stopped (exit status 0); restarting it"]


def test_missing_program_is_reported(announcer: Announcer, messages: list[str]) -> None:
    announcer.handle("INFO spawnerr: can't find command '/no/redis'")
    assert messages == ["a process could not be started: can't find command '/no/redis'"]


def test_only_processes_that_still_run_are_reported_while_stopping(announcer: Announcer, messages: list[str]) -> None:
    announcer.stopping = True
    announcer.handle("WARN exited: web (terminated by SIGTERM; not expected)")
    announcer.handle("INFO waiting for redis, worker to die")
    assert messages == ["waiting for redis, worker to finish"]


def test_configuration_accepts_awkward_paths(tmp_path: Path) -> None:
    folder = tmp_path / "100% of it"
    folder.mkdir()
    processes = [
        watcher(),
        web("127.0.0.1", 8000),
        worker("a node"),
        beat(),
        Process("odd", ["a b", "%c"], 1),
    ]
    write_conf(folder / "supervisord.conf", processes, folder)
    conf = configparser.RawConfigParser()
    conf.read(folder / "supervisord.conf")
    assert conf["program:odd"]["command"] == "setpriv --pdeathsig TERM 'a b' %%c"
    assert "100%% of it" in conf["program:web"]["stdout_logfile"]
    assert "'partway,node.a node.steps'" in conf["program:worker"]["command"]
    assert " partway.watch " in conf["program:watcher"]["command"]
    assert (folder / "supervisord.conf").stat().st_mode & 0o777 == 0o600


def test_last_lines_of_a_long_and_of_a_missing_log(tmp_path: Path) -> None:
    (tmp_path / "long.log").write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert last_lines(tmp_path / "long.log", 2) == ["line 99998", "line 99999"]
    assert last_lines(tmp_path / "none.log") == ["(there is no log)"]
