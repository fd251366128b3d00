"""What can be known to go wrong before anything is started, in words that say what to do."""

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

from local import ports
from local.installation import Folder

DISK_NEEDED = 1024**3
"""Bytes that must be free: the settings leave 512 MiB of the staging disk unused, and a file should still fit."""


class Refusal(Exception):
    """Partway cannot start; the message is for the person at the terminal."""


@contextmanager
def only_run(var: Folder, url: str) -> Iterator[IO[str]]:
    """Hold the folder's lock. A second run is told of the first; the kernel lets go whatever becomes of us."""
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
                "Stop it with Ctrl-C in its terminal first, or open that page."
            )
    return "An earlier run of Partway is still stopping in this folder. Try again in a few seconds."


def read_address(environ: Mapping[str, str]) -> tuple[str, int]:
    """HOST and PORT."""
    text = environ.get("PORT") or "8000"
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65_536:
        raise Refusal(f"PORT={text} is no port. Give a number from 1 to 65535, as in: PORT=8001 make run")
    return environ.get("HOST") or ports.LOOPBACK, int(text)


def check_port(host: str, port: int) -> None:
    try:
        free = ports.is_free(port, host)
    except OSError as error:
        raise Refusal(f"HOST={host} is no address of this machine: {error}.") from error
    if free:
        return
    if port < 1024 and os.geteuid() != 0:
        raise Refusal(f"Port {port} is for root only. Choose another, as in: PORT=8000 make run")
    raise Refusal(
        f"Port {port} is taken by {ports.holder(port)}.\nStop that, or move Partway: PORT={_free_near(port)} make run"
    )


def _free_near(port: int) -> int:
    return next((near for near in range(port + 1, min(port + 50, 65_536)) if ports.is_free(near)), 8000)


def check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < DISK_NEEDED:
        raise Refusal(
            f"The disk that holds {folder} has {free // 1024**2} MiB free; Partway wants at least "
            f"{DISK_NEEDED // 1024**2} MiB. Make room, or keep data on another disk: PARTWAY_VAR=/elsewhere make run"
        )


def check_folder(var: Folder) -> None:
    """Make the folder, or say why it cannot be."""
    try:
        var.make()
        (var.path / ".probe").write_text("")
        (var.path / ".probe").unlink()
    except OSError as error:
        raise Refusal(f"Partway keeps its data in {var.path}, which cannot be written: {error.strerror}.") from error


def check_tools() -> None:
    if shutil.which("setpriv") is None:
        raise Refusal("The command `setpriv` is missing. Install it: apt-get install util-linux")
