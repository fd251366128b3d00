"""Which errors of a database are temporary: it is down, restarts, is overloaded, or a lock was not released in time."""

from __future__ import annotations

import sqlite3

import psycopg
from django.db import InterfaceError, OperationalError

TEMPORARY_IN_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
PRIMARY_CODE = 0xFF
"""The bits of an extended code of SQLite that have the primary code."""


class AllInUse(psycopg.OperationalError):
    """Every connection of this process is in use."""


def is_unavailable(error: BaseException | None) -> bool:
    """Whether the database may do later what it did not do now. A missing table or a wrong value is no such error."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & PRIMARY_CODE in TEMPORARY_IN_SQLITE
    return True


def is_busy(error: BaseException | None) -> bool:
    """Whether the database works, but has no free connection."""
    cause = error.__cause__ if error is not None else None
    return isinstance(cause, AllInUse | psycopg.errors.TooManyConnections) or "too many clients" in str(cause)
