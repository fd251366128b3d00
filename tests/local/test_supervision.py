"""What supervisord is told, and what the terminal is told of it."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from local.supervision import Announcer, Part, beat, last_lines, web, worker, write_conf


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def announcer(tmp_path: Path, said: list[str]) -> Announcer:
    return Announcer(tmp_path, said.append)


def test_part_that_dies_and_comes_back_is_two_sentences(announcer: Announcer, said: list[str]) -> None:
    announcer.hear("2026-11-23 10:00:00,000 INFO success: web entered RUNNING state, process has stayed up")
    announcer.hear("2026-11-23 10:00:01,000 WARN exited: worker (terminated by SIGKILL; not expected)")
    announcer.hear("2026-11-23 10:00:02,000 INFO spawned: 'worker' with pid 12")
    announcer.hear("2026-11-23 10:00:05,000 INFO success: worker entered RUNNING state, process has stayed up")
    assert said == ["worker stopped (killed by signal 9); starting it again", "worker runs again"]


def test_part_that_cannot_start_shows_its_log_now_and_then(
    announcer: Announcer, said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "web.log").write_text("first\nModuleNotFoundError: No module named 'x'\n")
    for _ in range(9):
        announcer.hear("WARN exited: web (exit status 1; not expected)")
    assert said[0] == "web stopped (exit status 1); starting it again"
    assert len(said) == 4
    assert "    ModuleNotFoundError: No module named 'x'" in said[1]
    assert "2 times in a row" in said[1]
    assert "8 times in a row" in said[3]


def test_clean_exit_nobody_asked_for_is_said_too(announcer: Announcer, said: list[str]) -> None:
    announcer.hear("INFO exited: beat (exit status 0; expected)")
    assert said == ["beat stopped (exit status 0); starting it again"]


def test_program_that_is_missing_is_said(announcer: Announcer, said: list[str]) -> None:
    announcer.hear("INFO spawnerr: can't find command '/no/redis'")
    assert said == ["a part could not be started: can't find command '/no/redis'"]


def test_stopping_says_only_what_is_waited_for(announcer: Announcer, said: list[str]) -> None:
    announcer.stopping = True
    announcer.hear("WARN exited: web (terminated by SIGTERM; not expected)")
    announcer.hear("INFO waiting for redis, worker to die")
    assert said == ["waiting for redis, worker to finish"]


def test_conf_survives_awkward_paths(tmp_path: Path) -> None:
    folder = tmp_path / "100% of it"
    folder.mkdir()
    parts = [web("127.0.0.1", 8000), worker("a node"), beat(folder / "schedule"), Part("odd", ["a b", "%c"], 1)]
    write_conf(folder / "supervisord.conf", parts, folder)
    conf = configparser.RawConfigParser()
    conf.read(folder / "supervisord.conf")
    assert conf["program:odd"]["command"] == "setpriv --pdeathsig TERM 'a b' %%c"
    assert "100%% of it" in conf["program:web"]["stdout_logfile"]
    assert "'partway,node.a node.steps'" in conf["program:worker"]["command"]
    assert (folder / "supervisord.conf").stat().st_mode & 0o777 == 0o600


def test_last_lines_of_a_long_log_and_of_none(tmp_path: Path) -> None:
    (tmp_path / "long.log").write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert last_lines(tmp_path / "long.log", 2) == ["line 99998", "line 99999"]
    assert last_lines(tmp_path / "none.log") == ["(there is no log)"]
