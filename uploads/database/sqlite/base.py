"""Django's backend for SQLite, with turns for writing. Django looks for `base` in the module of ENGINE."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.sqlite3 import base

from uploads.database.sqlite.turns import Turns, turns_of

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
"""The first words of statements that write. Others, such as those of migrations, wait as SQLite does."""

RETURNING = " RETURNING "


class DatabaseWrapper(base.DatabaseWrapper):
    """A thread has its turn from the start of a transaction to its end, or for one statement that writes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: Turns | None = None

    def create_cursor(self, name: str | None = None) -> Any:  # noqa: ARG002 - the name is that of Django
        cursor = self.connection.cursor(factory=_Cursor)
        cursor.wrapper = self
        return cursor

    def is_usable(self) -> bool:
        """Asked after an error. Django takes each connection to SQLite for usable, and tasks share theirs."""
        try:
            self.connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.Error:
            return False
        return True

    def begin_statement(self, sql: str) -> bool:
        """Take a turn for a statement outside transactions, if it writes. Returns whether it did."""
        if self._turn is not None or self.connection.in_transaction or not sql.lstrip()[:7].upper().startswith(WRITES):
            return False
        self._take_turn()
        return True

    def _start_transaction_under_autocommit(self) -> None:
        if self.settings_dict["OPTIONS"].get("transaction_mode") == "IMMEDIATE":
            with self.wrap_database_errors:
                self._take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs lack it
        except BaseException:
            self.give_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # the stubs lack it
        # If this raises, Django rolls back. The hooks on commit, which wait for Redis, run afterwards.
        self.give_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # the stubs lack it
        finally:
            self.give_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]  # the stubs lack it
        finally:
            self.give_turn()

    def _take_turn(self) -> None:
        turns = turns_of(str(self.settings_dict["NAME"]))
        if not turns.take(self.settings_dict["OPTIONS"].get("timeout", 5.0)):
            error = sqlite3.OperationalError("locked by threads")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        self._turn = turns

    def give_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give()


class _Cursor(base.SQLiteCursorWrapper):
    wrapper: DatabaseWrapper
    _has_turn = False

    def execute(self, query: str, params: Any = None) -> Any:
        with self._turn(query):
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        with self._turn(query):
            return super().executemany(query, param_list)

    def close(self) -> None:
        super().close()
        self._end()

    @contextmanager
    def _turn(self, query: str) -> Iterator[None]:
        self._end()
        self._has_turn = self.wrapper.begin_statement(query)
        is_read = False
        try:
            yield
            # SQLite keeps its lock until all rows are read.
            is_read = RETURNING in query
        finally:
            if not is_read:
                self._end()

    def _end(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self.wrapper.give_turn()
