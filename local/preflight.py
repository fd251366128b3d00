"""Checks before anything is started. Each refusal says what to do."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
from django.core.exceptions import ImproperlyConfigured

from dashboard.site import password_rules, sub_path
from local import ports
from local.installation import Folder

DISK_NEEDED = 1024**3
"""Bytes that must be free: 512 MiB of the staging disk stay unused by default, and a file needs space as well."""


class Refusal(Exception):
    """Partway cannot start. The message is shown on the terminal."""


@contextmanager
def only_run(var: Folder, url: str) -> Iterator[IO[str]]:
    """Hold the lock of the folder, which the kernel releases when this process ends. Raises Refusal if it is held."""
    with var.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(_already_running(var)) from None
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "url": url}))
        lock.flush()
        yield lock


def _already_running(var: Folder) -> str:
    with suppress(OSError, ValueError, KeyError):
        holder = json.loads(var.lock.read_text())
        if psutil.pid_exists(holder["pid"]):
            return (
                f"Partway is already running in this folder, as process {holder['pid']}: {holder['url']}\n"
                "Stop it with Ctrl-C in its terminal, or open that page."
            )
    return "An earlier run of Partway in this folder is still stopping. Try again in a few seconds."


def read_address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Read HOST and PORT."""
    text = environ.get("PORT") or "8000"
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65_536:
        raise Refusal(f"PORT={text} is not a port. Use a number from 1 to 65535, for example: PORT=8001 make run")
    return environ.get("HOST") or ports.LOOPBACK, int(text)


def read_sub_path(environ: Mapping[str, str]) -> str:
    """Read SUB_PATH."""
    try:
        return sub_path.checked(environ.get("SUB_PATH", ""))
    except ImproperlyConfigured as error:
        raise Refusal(str(error)) from error


def check_admin_password(environ: Mapping[str, str], *, is_first_start: bool) -> None:
    """ADMIN_PASSWORD is used by the first start only."""
    password = environ.get("ADMIN_PASSWORD", "")
    broken = password_rules.broken_rules(password) if password and is_first_start else []
    if broken:
        raise Refusal("ADMIN_PASSWORD cannot be used. " + " ".join(broken))


def check_port(host: str, port: int) -> None:
    try:
        free = ports.is_free(port, host)
    except OSError as error:
        raise Refusal(f"HOST={host} is not an address of this machine: {error}.") from error
    if free:
        return
    if port < 1024 and os.geteuid() != 0:
        raise Refusal(f"Only root can listen on port {port}. Use another one, for example: PORT=8000 make run")
    raise Refusal(
        f"Port {port} is in use by {ports.holder(port)}.\n"
        f"Stop that process, or use another port: PORT={_free_near(port)} make run"
    )


def _free_near(port: int) -> int:
    return next((near for near in range(port + 1, min(port + 50, 65_536)) if ports.is_free(near)), 8000)


def check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise Refusal(
            f"The disk of {folder} has {free // 1024**2} MiB free; at least {DISK_NEEDED // 1024**2} MiB are needed. "
            "Free some space, or keep the data on another disk: PARTWAY_VAR=/elsewhere make run"
        )


def check_folder(var: Folder) -> None:
    """Create the folder."""
    try:
        var.make()
        (var.path / ".probe").write_text("")
        (var.path / ".probe").unlink()
    except OSError as error:
        raise Refusal(f"Partway keeps its data in {var.path}, which is not writable: {error.strerror}") from error


def check_tools() -> None:
    if shutil.which("setpriv") is None:
        raise Refusal("The command `setpriv` is missing. Install it: apt-get install util-linux")
