"""Django's backend for PostgreSQL with the pool of this process. Django looks for `base` in the module of ENGINE."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper

from uploads.database import pool


class DatabaseWrapper(base.DatabaseWrapper):
    """Returns its connection after each statement, or after each transaction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken_from: pool.Pool | None = None
        self._open_cursors = 0
        self._is_connecting = False

    # --- Taking a connection ------------------------------------------------------------------------------------------

    def ensure_connection(self) -> None:
        if self.connection is not None and self.connection.closed and not self.in_atomic_block:
            # The server has closed it. Django would notice that at the end of the request or task only.
            self.close()
        super().ensure_connection()

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()
        except BaseException:
            if self._taken_from is not None:
                self._give_back()
            raise
        finally:
            self._is_connecting = False

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        ours = self._pool()
        if ours is None:
            return super().get_new_connection(conn_params)
        connection = ours.take(lambda: super(DatabaseWrapper, self).get_new_connection(conn_params))
        self._taken_from = ours
        return connection

    def get_autocommit(self) -> bool:
        if self.connection is None and self._pool() is not None:
            # Django would take a connection to answer this, which nothing returns if no statement follows.
            return bool(self.settings_dict["AUTOCOMMIT"])
        return bool(super().get_autocommit())

    def _pool(self) -> pool.Pool | None:
        return None if self.alias == NO_DB_ALIAS else pool.current()

    # --- Returning it -------------------------------------------------------------------------------------------------

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        """Django calls this at both ends of a transaction."""
        if autocommit and self.connection is None and not self._is_connecting and self._pool() is not None:
            # The transaction has lost its connection. The next statement takes another one.
            self.autocommit = True
            self.run_commit_hooks_on_set_autocommit_on = False
            return
        try:
            super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)
        finally:
            self._release()

    def run_and_clear_commit_hooks(self) -> None:
        """The hooks publish messages: they wait for Redis without a connection to the database."""
        hooks = self.run_on_commit
        self._release()
        self.run_on_commit = hooks
        super().run_and_clear_commit_hooks()

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        self._open_cursors += 1
        return _Cursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> base.CursorDebugWrapper:
        self._open_cursors += 1
        return _DebugCursor(cursor, self)

    def cursor_closed(self) -> None:
        self._open_cursors = max(0, self._open_cursors - 1)
        self._release()

    def _release(self) -> None:
        """Return the connection, unless something still needs it: a transaction, or a cursor that is read."""
        if self._taken_from is None or self._is_connecting or self._open_cursors:
            return
        if self.autocommit and not self.in_atomic_block:
            self.close()

    def _close(self) -> None:
        self._open_cursors = 0
        if self._taken_from is None:
            super()._close()  # type: ignore[misc]  # the stubs lack it
        else:
            self._give_back()

    def _give_back(self) -> None:
        ours, self._taken_from = self._taken_from, None
        connection, self.connection = self.connection, None
        if ours is not None and connection is not None:
            ours.give(connection)


class _ReleasesConnection:
    """A cursor that tells its connection that it was closed."""

    db: Any
    cursor: Any
    _is_open = True

    def close(self) -> None:
        try:
            self.cursor.close()
        finally:
            if self._is_open:
                self._is_open = False
                self.db.cursor_closed()


class _Cursor(_ReleasesConnection, CursorWrapper):
    pass


class _DebugCursor(_ReleasesConnection, base.CursorDebugWrapper):
    pass
