"""An installation that follows docs/deployment.md: its shell blocks, run as a user without privileges.

The blocks are run as they are written, except that:

* folders, ports and users are those of the test, and packages and the user are not installed again;
* pip and npm take their packages from a folder, as on a machine without network;
* `psql` and `createdb` connect as the superuser of the test's cluster, in place of the user postgres;
* `add_user` takes its answers from the environment.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local import ports
from local.installation import PROJECT
from tests.stores import processes
from tests.stores.postgresql import Cluster, binaries
from tests.system.stack import Login

DOCUMENT = PROJECT / "docs" / "deployment.md"
OFFLINE = PROJECT / ".venv" / "offline"
"""What `make test` has downloaded with pip and npm."""

ADMIN = Login("admin", "the password of the admin")


def shell_blocks(heading: str) -> list[str]:
    """The shell blocks of a section of the document, without those of its subsections."""
    section = re.split(r"^#+ ", DOCUMENT.read_text(), flags=re.MULTILINE)
    text = next(text for text in section if text.startswith(f"{heading}\n"))
    return re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def process_commands() -> list[str]:
    """The commands of the processes, each of which a supervisor starts."""
    return shell_blocks("Processes")[0].splitlines()


def packages() -> set[str]:
    """The packages that the first step installs."""
    line = re.search(r"^apt-get install --no-install-recommends (.*)$", shell_blocks("Installation")[0], re.MULTILINE)
    assert line is not None
    return set(line[1].split())


@dataclass
class Documented:
    """One installation below `base`, whose owner is `user`."""

    base: Path
    user: pwd.struct_passwd
    cluster: Cluster
    web_port: int
    redis_port: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.web_port}"

    @property
    def code(self) -> Path:
        return self.base / "opt"

    @property
    def log(self) -> Path:
        return self.base / "log"

    def run(self, block: str, **env: str) -> str:
        """Run a shell block. Returns what it prints."""
        argv = [*self._as_user(), "bash", "-euo", "pipefail", "-c", self._here(block)]
        done = subprocess.run(
            argv, env={**self._environment, **env}, cwd=self.base, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def manage(self, command: str, **env: str) -> str:
        """Run a command of `manage.py`."""
        return self.run(f"cd /opt/partway\n{self.settings}\n.venv/bin/python manage.py {command}", **env)

    settings = "set -a; . /etc/partway/env; set +a"

    def start(self, command: str) -> None:
        """Start a process as a supervisor does."""
        script = self._here(f"cd /opt/partway\n{self.settings}\nexec {command}")
        # Changing the user drops pdeathsig, so it is set again.
        argv = [*self._as_user(), "setpriv", "--pdeathsig", "KILL", "env", "-i"]
        argv += [f"{name}={value}" for name, value in self._environment.items()]
        self.running.append(processes.start([*argv, "bash", "-c", script], self.log))

    def start_all(self) -> None:
        self.start(f"redis-server --bind {ports.LOOPBACK} --port {self.redis_port} --dir {self.base}")
        for command in process_commands():
            self.start(command)

    def stop_all(self) -> None:
        processes.stop(reversed(self.running))
        self.running.clear()

    def files(self) -> dict[str, int]:
        """Every file and folder of the code, with the time of its last change."""
        paths = [self.code, *self.code.rglob("*")]
        return {str(path): path.lstat().st_mtime_ns for path in paths}

    def protect(self, *, writable: bool) -> None:
        """Take the permission to write into the code from its owner, or give it back."""
        subprocess.run(["chmod", "-R", "u+w" if writable else "a-w", str(self.code)], check=True)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.base / "home"),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHON": "/usr/bin/python3",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.base / "offline" / "wheels"),
            "npm_config_offline": "true",
            "npm_config_cache": str(self.base / "offline" / "npm"),
            "PGHOST": ports.LOOPBACK,
            "PGPORT": str(self.cluster.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.cluster.password,
            # The store of the test is on this machine.
            "STORE_ALLOWED_ADDRESSES": ports.LOOPBACK,
            "USER_PASSWORD": ADMIN.password,
        }

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]

    def _here(self, block: str) -> str:
        """The block for the folders, ports and users of the test."""
        group = self.user.pw_gid
        for written, here in {
            "/var/lib/partway": str(self.base / "data"),
            "/opt/partway": str(self.code),
            "/etc/partway": str(self.base / "etc"),
            "<this repository>": str(self.base / "repository"),
            "-o partway -g partway": f"-o {self.user.pw_uid} -g {group}",
            "-o root -g partway": f"-o {self.user.pw_uid} -g {group}",
            "runuser -u postgres -- ": "",
            "127.0.0.1:5432": f"127.0.0.1:{self.cluster.port}",
            "127.0.0.1:6379": f"127.0.0.1:{self.redis_port}",
            "127.0.0.1:8000": f"127.0.0.1:{self.web_port}",
            "--port 8000": f"--port {self.web_port}",
        }.items():
            block = block.replace(written, here)
        return re.sub(r"^(apt-get|adduser) .*\n", "", block, flags=re.MULTILINE)


@contextmanager
def documented(cluster: Cluster) -> Iterator[Documented]:
    """An installation that does not exist yet, and the repository that it is cloned from."""
    # Not below the folders of pytest, which only the user of the test run may enter.
    base = Path(tempfile.mkdtemp(prefix="partway-documented-", dir="/tmp"))
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    web_port, redis_port = ports.choose(2)
    place = Documented(base, user, cluster, web_port, redis_port)
    try:
        (base / "home").mkdir()
        shutil.copytree(OFFLINE, base / "offline", symlinks=True)
        _copy_sources(base / "repository")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(base)], check=True)
        place.run(f"""
            cd {base}/repository
            git init --quiet
            git add --all
            git -c user.name=test -c user.email=test@example.org commit --quiet --message "This version"
        """)
        yield place
    finally:
        processes.kill(place.running)
        if place.code.exists():
            place.protect(writable=True)
        shutil.rmtree(base)


def _copy_sources(target: Path) -> None:
    """The files of this checkout as they are, committed or not."""
    target.mkdir()
    # The checkout may belong to another user.
    git = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(git, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)


def installed_programs() -> dict[str, bool]:
    """For each package of the first step, whether the machine has its program."""
    return {
        **{name: shutil.which(name) is not None for name in ("git", "make", "curl", "python3", "redis-server")},
        "python3-venv": subprocess.run(["/usr/bin/python3", "-c", "import ensurepip, venv"], check=False).returncode
        == 0,
        "postgresql": (binaries() / "postgres").exists(),
    }
