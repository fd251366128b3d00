"""The web server: `python -m dashboard.server --host 127.0.0.1 --port 8000`.

Cheroot runs the site as its WSGI application, with one thread per request, and with what uploads of any size need:

* `wsgi.input` can be read from the socket directly into a buffer (`read_into`), with a stall timeout.
* If the response is sent before the whole body was read, the connection is closed, but only after the rest has been
  read for a while. Otherwise a reset would reach the client, and a browser would show a network error instead of the
  response.
* No thread waits for a head, nor for a body that is not a file (`connections`, `arriving`): each has a deadline, and
  the threads handle requests that have arrived. `/healthz` needs no thread.
* Heads are read strictly (`heads`), and bodies in chunks are decoded as they arrive (`bodies`).
* A response to HEAD never has a body.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Hashable
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from cheroot import wsgi
from cheroot.workers.threadpool import ThreadPool

from dashboard.site.arriving import BODY_SECONDS, HEAD_SECONDS
from dashboard.site.connection import MAX_HEAD, Connection, Gateway
from dashboard.site.connection_limits import Limits
from dashboard.site.connections import Connections
from dashboard.site.drain import Drain
from dashboard.site.fair_queue import FairQueue
from dashboard.site.memory import leave_out_what_is_loaded, limit_heaps, protect_memory
from dashboard.site.rules import Rules, rules_of_site

if TYPE_CHECKING:
    from uploads.services.upkeep.pulse import Pulse

THREADS = 64
MONITORING_THREADS = 4
"""Threads for monitoring only, which must respond while all others are busy."""
MOST_CONNECTIONS = 1000
BACKLOG = 256
IDLE_SECONDS = 20
"""When an idle connection is closed: between requests, or while a response is not read."""

STOP_SECONDS = 5
"""How long requests may continue after the server was told to stop. Bytes received until then are kept."""

DATABASE_SECONDS = 5.0
"""How long a request waits for a connection to the database, before its response is 503."""
DATABASE_START_SECONDS = 30.0
"""How long the server waits for the database before it starts. It then cleans up staging once the database responds."""

log = logging.getLogger("dashboard.server")


SQLITE_CACHE_KIB = 512
"""The pages of the database that each connection of the web server keeps. SQLite would keep 2,000 KiB."""

SQLITE_STATEMENTS = 32
"""The statements that each connection keeps: as many as the largest page has. Python would keep 128, of 10 KiB each."""


class Lane:
    """Threads that handle certain requests only. For cheroot's threads, it is the server."""

    def __init__(self, server: Server, threads: int) -> None:
        self._server = server
        self.requests = ThreadPool(self, min=threads, max=threads)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    @property
    def interrupt(self) -> Any:
        return self._server.interrupt

    @interrupt.setter
    def interrupt(self, reason: Any) -> None:
        self._server.interrupt = reason


class Server(wsgi.Server):
    ConnectionClass = Connection
    max_request_header_size = MAX_HEAD
    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    _connections: Connections

    def __init__(self, address: tuple[str, int], application: Any, rules: Rules | None = None) -> None:
        super().__init__(
            address,
            application,
            numthreads=THREADS,
            request_queue_size=BACKLOG,
            timeout=IDLE_SECONDS,
            shutdown_timeout=STOP_SECONDS,
            server_name="partway",
        )
        self.requests._queue = FairQueue(client_of)
        self.requests.get = self.requests._queue.get
        self.gateway = Gateway
        self.rules = rules or Rules()
        self.limits = Limits(most_connections(), self.rules.most_per_address, self.rules.is_exempt)
        self.monitoring = Lane(self, MONITORING_THREADS)
        self.drain = Drain()
        self.drain.start()

    def prepare(self) -> None:
        super().prepare()
        self.socket.setblocking(False)
        # Before the first connection: cheroot's has done nothing yet.
        self._connections.close()
        self._connections = Connections(self)
        self.monitoring.requests.start()

    def stop(self) -> None:
        was_ready = self.ready
        super().stop()
        if was_ready:
            self.monitoring.requests.stop(self.shutdown_timeout)

    def new_connection(self, socket_: socket.socket, address: Any) -> Connection:
        connection = Connection(self, socket_)
        if isinstance(address, tuple):
            connection.remote_addr, connection.remote_port = address[:2]
        name = str(connection.remote_addr or "")
        connection.on_close = lambda: self.limits.leave(name)
        return connection

    def send_rest(self, connection: Connection) -> None:
        self._connections.send(connection)

    def handle(self, connection: Connection) -> None:
        """Let a thread handle a request that has arrived."""
        request = connection.arriving.request
        connection.hold(self.limits, connection.input.count)
        connection.socket.settimeout(self.timeout)
        lane = self.monitoring.requests if request and request.is_for_monitoring else self.requests
        lane.put(connection)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, msg, exc_info=traceback)


def client_of(waiting: object) -> Hashable | None:
    """Who has sent the request of a connection; None for cheroot's request to end a thread."""
    if not isinstance(waiting, Connection):
        return None
    headers = waiting.arriving.request.inheaders if waiting.arriving.request else {}
    return waiting.remote_addr, headers.get(b"Cookie"), headers.get(b"Authorization")


def most_connections() -> int:
    """Connections that may be open at the same time: the process needs file descriptors for other things too."""
    descriptors, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if descriptors < 0 else max(THREADS, min(MOST_CONNECTIONS, descriptors - 256))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dashboard.server", description="The web server of Partway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
    protect_memory()
    limit_heaps()
    from django.core.exceptions import ImproperlyConfigured

    try:
        from dashboard.site.wsgi import application
    except ImproperlyConfigured as error:
        sys.exit(f"Partway cannot start: {error}")
    from dashboard.site.checks import check_web_server

    _share_connections()
    check_web_server()
    _on_signal(_stop)
    # Before the first request, so that a client that resumes finds no other writer.
    _start_node().start()
    server = Server((options.host, options.port), application, rules_of_site())
    leave_out_what_is_loaded()
    log.info("listening on %s:%s", options.host, options.port)
    run(server)


def run(server: Server) -> None:
    """Serve until a signal arrives.

    The handler raises nothing: an exception in the middle of any statement can leave a queue of the server broken, and
    a thread that waits at it for ever. A signal that arrives while the server starts waits until it is ready.
    """
    read, write = os.pipe()
    _on_signal(lambda _number, _frame: os.write(write, b"."))
    server.prepare()
    stopper = threading.Thread(target=_stop_after_signal, args=(server, read), name="stopper")
    stopper.start()
    try:
        server.serve()
    finally:
        os.write(write, b".")
        stopper.join()


def _stop_after_signal(server: Server, read: int) -> None:
    os.read(read, 1)
    log.info("shutting down")
    server.stop()


def _on_signal(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _share_connections() -> None:
    from django.conf import settings

    from uploads import database

    database.use_pool(settings.DATABASE_POOL_SIZE, DATABASE_SECONDS)
    options = settings.DATABASES["default"]["OPTIONS"]
    if "init_command" in options:
        # SQLite has one connection for each thread. The pages of its file are in the cache of the system too.
        options["init_command"] += f" PRAGMA cache_size=-{SQLITE_CACHE_KIB};"
        options["cached_statements"] = SQLITE_STATEMENTS


def _start_node() -> Pulse:
    """Record the node, and clean its staging. Nothing is changed with the name or the disk of another node.

    Returns the pulse of the node, which does what could not be done yet.
    """
    from django.db import connections

    from dashboard.shared.messages import text_of
    from uploads import database
    from uploads.services.staging.nodes import NodeConflict, claim
    from uploads.services.upkeep.cleanup import sweep_staging
    from uploads.services.upkeep.pulse import Pulse

    try:
        # A machine that starts may start its database later.
        with database.waiting(DATABASE_START_SECONDS):
            claim()
            sweep_staging()
        return Pulse(is_sender=False)
    except NodeConflict as conflict:
        log.critical("%s", text_of(conflict.problem))
        raise SystemExit(1) from None
    except Exception:
        log.exception("staging could not be swept yet")
        return Pulse(is_sender=False, left_to_do=sweep_staging)
    finally:
        connections.close_all()
