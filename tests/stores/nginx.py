"""A real nginx for tests: the binary of the machine, with a temporary configuration, as the current user."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ports
from tests.stores import processes

START_SECONDS = 120

# One process, which the kernel ends with the test run. Everything that nginx writes is in its folder.
FRAME = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""


def binary() -> str:
    """The path of nginx, which Debian installs outside the PATH of most users."""
    path = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    assert path, "The tests need nginx: `make nginx` installs it."
    return path


@contextmanager
def running(folder: Path, servers: str, listens_on: Iterable[int]) -> Iterator[None]:
    """Run nginx with these server blocks until they accept connections on their ports."""
    conf = folder / "nginx.conf"
    conf.write_text(FRAME.format(folder=folder, servers=servers))
    argv = [binary(), "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
    process = processes.start(argv, folder / "nginx.log")
    try:
        deadline = time.monotonic() + START_SECONDS
        while not all(ports.is_listening(port) for port in listens_on):
            assert processes.all_running([process]), (folder / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx does not accept connections"
            time.sleep(0.02)
        yield
    finally:
        processes.stop([process])
