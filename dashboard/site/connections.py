"""All connections that no thread handles: accepted and limited, read while a request arrives, and closed in time.

One thread does this, and never waits for a client. It replaces cheroot's manager, in which a thread of the pool reads
each head, so that as many slow senders as threads would block the site.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dashboard.site.arriving import Step
from dashboard.site.refusals import refusal

if TYPE_CHECKING:
    from dashboard.site.connection import Connection
    from dashboard.site.server import Server

ACCEPTED_AT_ONCE = 64
LOG_SECONDS = 60.0
"""Between two log records about refused connections."""

log = logging.getLogger("dashboard.server")


class Connections:
    """The interface of cheroot's ConnectionManager. `put` is called by any thread, and `close` after `stop`."""

    can_add_keepalive_connection = True
    """There is a limit to all connections: the one that has waited longest makes room for a new one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._selector.register(server.socket, selectors.EVENT_READ)
        self._is_stopped = threading.Event()
        self._has_ended = threading.Event()
        self._has_ended.set()
        self._logged_at = float("-inf")

    # --- Called by the server -----------------------------------------------------------------------------------------

    def run(self, check_seconds: float) -> None:
        self._has_ended.clear()
        try:
            self._run(check_seconds)
        finally:
            self._has_ended.set()

    def stop(self) -> None:
        self._is_stopped.set()
        self._has_ended.wait()

    def close(self) -> None:
        for connection in self._waiting():
            connection.discard()
        self._selector.close()

    def put(self, connection: Connection) -> None:
        """Wait for the next request of a connection whose response was sent. Some of it may have arrived."""
        if connection.output.unsent:
            self.send(connection)
            return
        try:
            self._continue(connection, connection.start_next())
        except Exception:
            # An exception would end the thread that has handled the request.
            log.exception("a connection could not be kept")
            connection.discard()

    def send(self, connection: Connection) -> None:
        """Send the rest of a response without a thread, as fast as the client reads it. None of it when this ends."""
        connection.hold(self._server.limits, len(connection.output.unsent))
        try:
            connection.socket.setblocking(False)
            self._wait_for(connection, selectors.EVENT_WRITE)
        except Exception:
            if not self._is_stopped.is_set():
                log.exception("a response could not be sent")
            connection.discard()

    # --- The loop -----------------------------------------------------------------------------------------------------

    def _run(self, check_seconds: float) -> None:
        checked = time.monotonic()
        while not self._is_stopped.is_set():
            for key, _ in self._selector.select(check_seconds):
                if key.data is None:
                    self._accept()
                elif key.data.is_waiting and key.events == selectors.EVENT_WRITE:
                    self._send(key.data)
                elif key.data.is_waiting:
                    self._receive(key.data)
            if time.monotonic() - checked >= check_seconds:
                self._end_late()
                checked = time.monotonic()

    def _send(self, connection: Connection) -> None:
        try:
            connection.output.send()
        except OSError:
            connection.is_last = True
        if connection.output.unsent:
            return
        self._forget(connection)
        if connection.is_last:
            connection.close()
        else:
            self.put(connection)

    def _receive(self, connection: Connection) -> None:
        try:
            step = connection.arriving.receive()
        except Exception:
            # A fault with one connection must not end the thread that reads all of them.
            log.exception("a request could not be read")
            step = Step.CLOSE
        if step is not Step.WAIT:
            self._forget(connection)
        self._continue(connection, step)
        self._limit_memory(connection)

    def _continue(self, connection: Connection, step: Step) -> None:
        while step is Step.HANDLE and connection.asks_whether_alive:
            step = connection.say_alive()
        if step is Step.HANDLE:
            self._server.handle(connection)
        elif step is Step.CLOSE:
            connection.close()
        elif not connection.is_waiting:
            self._wait_for(connection)

    def _wait_for(self, connection: Connection, event: int = selectors.EVENT_READ) -> None:
        connection.is_waiting = True
        with self._lock:
            self._selector.register(connection.socket, event, connection)

    def _forget(self, connection: Connection) -> None:
        connection.is_waiting = False
        with self._lock:
            self._selector.unregister(connection.socket)

    def _waiting(self) -> list[Connection]:
        with self._lock:
            return [key.data for key in self._selector.get_map().values() if key.data is not None]

    # --- Limits -------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                socket, address = self._server.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Such as no file descriptor being left.
                if self._logs_now():
                    log.warning("no connection can be accepted: %s", error)
                if not self._make_room():
                    time.sleep(0.05)
                return
            self._admit(socket, address)

    def _admit(self, socket: Any, address: Any) -> None:
        socket.setblocking(False)
        name = str(address[0]) if isinstance(address, tuple) else ""
        if not self._server.limits.enter(name):
            self._turn_away(socket, name)
        elif self._server.limits.is_exceeded() and not self._make_room():
            self._server.limits.leave(name)
            self._turn_away(socket, name)
        else:
            connection = self._server.new_connection(socket, address)
            self._continue(connection, connection.start_next())

    def _turn_away(self, socket: Any, address: str) -> None:
        if self._logs_now():
            log.warning("a connection of %s is refused: it has %s", address, self._server.limits.count(address))
        head, body = refusal(503, "", {}, is_tus=False, accepts_json=False)
        with suppress(OSError):
            socket.send(head + body)
        socket.close()

    def _logs_now(self) -> bool:
        """Not each of many refusals is logged."""
        if time.monotonic() - self._logged_at < LOG_SECONDS:
            return False
        self._logged_at = time.monotonic()
        return True

    def _make_room(self) -> bool:
        """Close the connection that would be closed next. Returns whether there was one."""
        waiting = self._waiting()
        if not waiting:
            return False
        first = min(waiting, key=lambda connection: (connection.has_begun, connection.deadline))
        self._forget(first)
        first.discard()
        return True

    def _end_late(self) -> None:
        now = time.monotonic()
        for connection in self._waiting():
            if connection.deadline <= now:
                self._end(connection, "408 Request Timeout")

    def _end(self, connection: Connection, status: str) -> None:
        self._forget(connection)
        if connection.output.unsent:
            connection.discard()
        else:
            connection.refuse(status)

    def _limit_memory(self, connection: Connection) -> None:
        if not connection.is_waiting or not self._server.limits.is_large(connection.held_bytes):
            return  # Another one is larger if there are too many bytes.
        waiting = self._waiting()
        if not self._server.limits.has_memory(sum(each.held_bytes for each in waiting)):
            self._end(max(waiting, key=lambda each: each.held_bytes), "503 Service Unavailable")
