"""Which errors of a database are temporary: it is down, restarts, is overloaded, or its disk is full or read-only."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from django.db import Error, InterfaceError, InternalError, OperationalError, connection

from uploads.problems import Code

TEMPORARY_IN_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
DISK_IN_SQLITE = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
"""Errors of SQLite that a full disk causes too, for example while the index of the WAL grows."""
PRIMARY_CODE = 0xFF
"""The bits of an extended code of SQLite that have the primary code."""

READ_ONLY, DISK_FULL, TOO_MANY_CONNECTIONS = "25006", "53100", "53300"
"""Errors of PostgreSQL. Their classes are not named here: psycopg takes 10 MiB, and is not loaded for SQLite."""

LEAST_FREE_BYTES = 256 * 1024
"""A disk with less is full: SQLite extends its files by a few pages at a time."""


def is_unavailable(error: BaseException | None) -> bool:
    """Whether the database may do later what it did not do now. A missing table or a wrong value is no such error."""
    if isinstance(error, InternalError):
        return is_read_only(error)
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in TEMPORARY_IN_SQLITE
    return True


def is_busy(error: BaseException | None) -> bool:
    """Whether the database works, but has no free connection, or others write for too long."""
    cause = error.__cause__ if error is not None else None
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return _sqlstate(cause) == TOO_MANY_CONNECTIONS or "too many clients" in str(cause)


def is_full(error: BaseException | None) -> bool:
    """Whether the disk of the database has no space left."""
    cause = error.__cause__ if isinstance(error, Error) else None
    if isinstance(cause, sqlite3.Error):
        code = _sqlite_code(cause)
        return code == sqlite3.SQLITE_FULL or (code in DISK_IN_SQLITE and _disk_is_full())
    return _sqlstate(cause) == DISK_FULL


def is_read_only(error: BaseException | None) -> bool:
    """Whether the database can be read only: its disk is mounted so, or the server is a standby."""
    cause = error.__cause__ if isinstance(error, Error) else None
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) == sqlite3.SQLITE_READONLY
    return _sqlstate(cause) == READ_ONLY


def code_of(error: BaseException | None) -> Code:
    """Why the database is unavailable."""
    if is_full(error):
        return Code.DATABASE_FULL
    if is_read_only(error):
        return Code.DATABASE_READ_ONLY
    return Code.DATABASE_BUSY if is_busy(error) else Code.DATABASE_UNAVAILABLE


def _sqlite_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE


def _sqlstate(error: BaseException | None) -> str | None:
    return getattr(error, "sqlstate", None)


def _disk_is_full() -> bool:
    try:
        disk = os.statvfs(Path(str(connection.settings_dict["NAME"])).parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES
