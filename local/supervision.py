"""The parts of an installation as supervisor runs them, and what supervisor says of them in plain words.

supervisord stays in the foreground below the launcher. Each part gets SIGTERM from the kernel when supervisord dies,
and supervisord gets it when the launcher dies (`setpriv --pdeathsig`): nothing runs on alone.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.files import write_private
from local.installation import PROJECT

TETHER = ("setpriv", "--pdeathsig", "TERM")


@dataclass(frozen=True, slots=True)
class Part:
    """One process that must run. Parts of one group are stopped together; lower priorities start first, stop last."""

    name: str
    argv: Sequence[str]
    priority: int
    stop_seconds: int = 10
    group: str = ""


def web(host: str, port: int) -> Part:
    """One process with threads: bodies stream to the view with the socket as backpressure, at no limit of size."""
    argv = [sys.executable, "-m", "dashboard.server", "--host", host, "--port", str(port)]
    return Part("web", argv, priority=50, stop_seconds=20)


def sender(node_name: str) -> Part:
    """Sends parts. Two processes: both cores are busy with digests by then."""
    return Part(
        "sender",
        _celery_worker("sender", [f"node.{node_name}"], "prefork", 2),
        priority=30,
        stop_seconds=30,
        group="work",
    )


def worker(node_name: str) -> Part:
    """Everything else: operations and the short steps of transfers, which mostly wait for the store.

    Apart from the sender, so that nobody's abort waits behind a large part on a slow line.
    """
    queues = ["partway", f"node.{node_name}.steps"]
    return Part("worker", _celery_worker("worker", queues, "threads", 8), priority=30, stop_seconds=30, group="work")


def _celery_worker(name: str, queues: Sequence[str], pool: str, concurrency: int) -> list[str]:
    """One node needs no other worker's gossip."""
    argv = [sys.executable, "-m", "celery", "-A", "dashboard", "--quiet", "worker", "--hostname", f"{name}@%h"]
    argv += ["--pool", pool, "--concurrency", str(concurrency), "-O", "fair", "-Q", ",".join(queues)]
    return [*argv, "--without-gossip", "--without-mingle"]


def beat(schedule: Path) -> Part:
    argv = [sys.executable, "-m", "celery", "-A", "dashboard", "--quiet", "beat"]
    return Part("beat", [*argv, "--schedule", str(schedule), "--pidfile="], priority=30, group="work")


def write_conf(path: Path, parts: Iterable[Part], logs: Path) -> None:
    """Everything but the environment, which the parts inherit: so no secret is in it."""
    known = list(parts)
    sections = [_supervisord_section(path.parent, logs), *(_program_section(part, logs) for part in known)]
    for group in dict.fromkeys(part.group for part in known if part.group):
        members = [part for part in known if part.group == group]
        names = ",".join(part.name for part in members)
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


def _program_section(part: Part, logs: Path) -> str:
    # Practically endless retries: supervisor waits a second longer before each, so a part that cannot start costs
    # little, and one whose trouble passes (a full disk, say) comes back by itself.
    return f"""[program:{part.name}]
command={_literal(shlex.join([*TETHER, *part.argv]))}
directory={_literal(PROJECT)}
priority={part.priority}
autorestart=true
startsecs=3
startretries=1000000
stopwaitsecs={part.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_literal(logs / part.name)}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _literal(value: object) -> str:
    """supervisor expands %(names)s in its values."""
    return str(value).replace("%", "%%")


_EXITED = re.compile(r"exited: (?P<part>\S+) \((?P<how>.*); (?:not )?expected\)")
_RUNNING = re.compile(r"success: (?P<part>\S+) entered RUNNING state")
_STOPPING = re.compile(r"waiting for (?P<parts>.+) to die")
_NOT_STARTED = re.compile(r"spawnerr: (?P<why>.*)")

_SIGNALS = {"SIGKILL": "killed by signal 9", "SIGTERM": "ended by signal 15", "SIGSEGV": "crashed with signal 11"}


class Announcer:
    """Turns supervisord's log, line by line, into the few sentences that belong on the terminal."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self.stopping = False
        self._logs = logs
        self._say = say
        self._failures: Counter[str] = Counter()

    def hear(self, line: str) -> None:
        """Take one line of the log."""
        if match := _STOPPING.search(line):
            self._say(f"waiting for {match['parts']} to finish")
        elif self.stopping:
            return
        elif match := _EXITED.search(line):
            self._exited(match["part"], match["how"])
        elif match := _RUNNING.search(line):
            self._running(match["part"])
        elif match := _NOT_STARTED.search(line):
            self._say(f"a part could not be started: {match['why']}")

    def _exited(self, part: str, how: str) -> None:
        self._failures[part] += 1
        count = self._failures[part]
        if count == 1:
            self._say(f"{part} stopped ({_in_words(how)}); starting it again")
        elif count.bit_count() == 1:
            # The 2nd, 4th, 8th time in a row: often enough to be seen, seldom enough to keep the terminal readable.
            self._say(self._cannot_start(part, how, count))

    def _running(self, part: str) -> None:
        if self._failures.pop(part, 0):
            self._say(f"{part} runs again")

    def _cannot_start(self, part: str, how: str, count: int) -> str:
        lines = [f"{part} does not stay up ({_in_words(how)}, {count} times in a row)."]
        lines += ["    " + line for line in last_lines(self._logs / f"{part}.log")]
        lines += [f"These are the last lines of {self._logs / part}.log. Put right what they name: {part} is tried"]
        lines += ["again until it runs. Ctrl-C stops everything."]
        return "\n".join(lines)


def last_lines(path: Path, count: int = 12) -> list[str]:
    """The end of a log, however long the log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            text = log.read().decode(errors="replace")
    except OSError:
        return ["(there is no log)"]
    return text.splitlines()[-count:]


def _in_words(how: str) -> str:
    """supervisor's `terminated by SIGKILL` or `exit status 1`, as people say it."""
    name = how.removeprefix("terminated by ").split(" ", maxsplit=1)[0]
    return _SIGNALS.get(name, how)
