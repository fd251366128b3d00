"""The processes of an installation: supervisor's configuration for them, and messages about their state.

supervisord runs in the foreground below the launcher. The kernel sends SIGTERM to each process when supervisord dies,
and to supervisord when the launcher dies (`setpriv --pdeathsig`), so that no process is left behind.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.files import write_private
from local.installation import PROJECT

TETHER = ("setpriv", "--pdeathsig", "TERM")


@dataclass(frozen=True, slots=True)
class Process:
    """One process. Processes of a group are stopped together. Lower priorities start first and stop last."""

    name: str
    argv: Sequence[str]
    priority: int
    stop_seconds: int = 10
    group: str = ""


def foreign(name: str, argv: Sequence[str], env: Mapping[str, str], priority: int, group: str = "") -> Process:
    """A process of a program that is not ours, with nothing but this environment."""
    only = [f"{variable}={value}" for variable, value in env.items()]
    return Process(name, ["env", "-i", *only, *argv], priority, group=group)


def web(host: str, port: int) -> Process:
    """The web server: one process with threads, so that request bodies of any size stream to the view."""
    argv = [sys.executable, "-m", "dashboard.server", "--host", host, "--port", str(port)]
    return Process("web", argv, priority=50, stop_seconds=20)


def sender(node_name: str) -> Process:
    """The worker that sends parts: two processes, because computing digests uses a core for each."""
    return Process(
        "sender",
        _celery_worker("sender", [f"node.{node_name}"], "prefork", 2),
        priority=30,
        stop_seconds=30,
        group="work",
    )


def worker(node_name: str) -> Process:
    """The worker for everything else: operations and the short steps of transfers, which mostly wait for the store.

    It is separate from the sender, so that an abort does not wait for a large part on a slow connection.
    """
    queues = ["partway", f"node.{node_name}.steps"]
    return Process("worker", _celery_worker("worker", queues, "threads", 8), priority=30, stop_seconds=30, group="work")


def watcher() -> Process:
    """The worker of the watchdog and of other rounds, so that no operator's request waits for one of them."""
    return Process("watcher", _celery_worker("watcher", ["partway.watch"], "threads", 2), priority=30, group="work")


def scanner() -> Process:
    """The worker of scans, so that no operator's request waits for one."""
    return Process("scanner", _celery_worker("scanner", ["partway.scan"], "threads", 8), priority=30, group="work")


def _celery_worker(name: str, queues: Sequence[str], pool: str, concurrency: int) -> list[str]:
    """Gossip and mingle are off: workers of one node do not need to know each other."""
    argv = [sys.executable, "-m", "celery", "-A", "dashboard", "--quiet", "worker", "--hostname", f"{name}@%h"]
    argv += ["--pool", pool, "--concurrency", str(concurrency), "-O", "fair", "-Q", ",".join(queues)]
    return [*argv, "--without-gossip", "--without-mingle"]


def beat() -> Process:
    argv = [sys.executable, "-m", "celery", "-A", "dashboard", "--quiet", "beat"]
    return Process("beat", argv, priority=30, group="work")


def write_conf(path: Path, processes: Iterable[Process], logs: Path) -> None:
    """Write the configuration. It has no secrets: the processes inherit the environment."""
    known = list(processes)
    sections = [_supervisord_section(path.parent, logs), *(_program_section(each, logs) for each in known)]
    for group in dict.fromkeys(process.group for process in known if process.group):
        members = [process for process in known if process.group == group]
        names = ",".join(each.name for each in members)
        sections.append(f"[group:{group}]\nprograms={names}\npriority={members[0].priority}\n")
    write_private(path, "\n".join(sections))


def command(conf: Path) -> list[str]:
    return [*TETHER, sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "--nodaemon", "-c", str(conf)]


def _supervisord_section(folder: Path, logs: Path) -> str:
    return f"""[supervisord]
logfile={_literal(logs / "supervisord.log")}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={_literal(folder / "supervisord.pid")}
childlogdir={_literal(logs)}
"""


def _program_section(process: Process, logs: Path) -> str:
    # Retry practically forever. supervisor waits a second longer before each attempt, so a process that cannot start
    # costs little, and it starts again when the cause, such as a full disk, is gone.
    return f"""[program:{process.name}]
command={_literal(shlex.join([*TETHER, *process.argv]))}
directory={_literal(PROJECT)}
priority={process.priority}
autorestart=true
startsecs=3
startretries=1000000
stopwaitsecs={process.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_literal(logs / process.name)}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _literal(value: object) -> str:
    """Escape a value, in which supervisor expands %(names)s."""
    return str(value).replace("%", "%%")


_EXITED = re.compile(r"exited: (?P<part>\S+) \((?P<how>.*); (?:not )?expected\)")
_RUNNING = re.compile(r"success: (?P<part>\S+) entered RUNNING state")
_STOPPING = re.compile(r"waiting for (?P<parts>.+) to die")
_NOT_STARTED = re.compile(r"spawnerr: (?P<why>.*)")

_SIGNALS = {"SIGKILL": "killed by signal 9", "SIGTERM": "ended by signal 15", "SIGSEGV": "crashed with signal 11"}


class Announcer:
    """Turns the lines of supervisord's log into messages for the terminal."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self.stopping = False
        self._logs = logs
        self._say = say
        self._failures: Counter[str] = Counter()

    def handle(self, line: str) -> None:
        """Handle one line of the log."""
        if match := _STOPPING.search(line):
            self._say(f"waiting for {match['parts']} to finish")
        elif self.stopping:
            return
        elif match := _EXITED.search(line):
            self._exited(match["part"], match["how"])
        elif match := _RUNNING.search(line):
            self._running(match["part"])
        elif match := _NOT_STARTED.search(line):
            self._say(f"a process could not be started: {match['why']}")

    def _exited(self, part: str, how: str) -> None:
        self._failures[part] += 1
        count = self._failures[part]
        if count == 1:
            self._say(f"{part} stopped ({_description(how)}); restarting it")
        elif count.bit_count() == 1:
            # Only the 2nd, 4th, 8th time in a row and so on, which keeps the terminal readable.
            self._say(self._cannot_start(part, how, count))

    def _running(self, part: str) -> None:
        if self._failures.pop(part, 0):
            self._say(f"{part} is running again")

    def _cannot_start(self, part: str, how: str, count: int) -> str:
        lines = [f"{part} has stopped {count} times in a row ({_description(how)})."]
        lines += ["    " + line for line in last_lines(self._logs / f"{part}.log")]
        lines += [
            f"These are the last lines of {self._logs / part}.log. Fix the cause; {part} is restarted until it runs."
        ]
        lines += ["Ctrl-C stops everything."]
        return "\n".join(lines)


def last_lines(path: Path, count: int = 12) -> list[str]:
    """The last lines of a log of any length."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            text = log.read().decode(errors="replace")
    except OSError:
        return ["(there is no log)"]
    return text.splitlines()[-count:]


def _description(how: str) -> str:
    """Translate supervisor's `terminated by SIGKILL`; `exit status 1` stays as it is."""
    name = how.removeprefix("terminated by ").split(" ", maxsplit=1)[0]
    return _SIGNALS.get(name, how)
