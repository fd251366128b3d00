"""The threads of a process that write to SQLite: each has its turn, in the order in which they ask."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, transaction
from pytest_django import Settings

from tests.system.stack import wait_for
from uploads import database
from uploads.database.sqlite.turns import Turns, turns_of

THREADS = 16


@contextmanager
def own_connection() -> Iterator[None]:
    """A connection of this thread, for which SQLite itself never waits."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
        yield
    finally:
        connection.close()


def our_turns() -> Turns:
    return turns_of(str(connection.settings_dict["NAME"]))


def test_turns_are_given_in_the_order_of_the_requests() -> None:
    turns, served = Turns(), list[int]()
    assert turns.take(0)

    def wait(number: int) -> None:
        assert turns.take(30)
        served.append(number)
        turns.give()

    threads = [threading.Thread(target=wait, args=[number]) for number in range(5)]
    for count, thread in enumerate(threads, start=1):
        thread.start()
        wait_for("a thread that waits", lambda count=count: turns.waiting_threads == count)  # type: ignore[misc]
    turns.give()
    for thread in threads:
        thread.join()
    assert served == [*range(5)]
    assert turns.take(0)


def test_thread_that_has_waited_too_long_leaves_the_queue() -> None:
    turns = Turns()
    assert turns.take(0)
    assert not turns.take(0.01)
    turns.give()
    assert turns.take(0)


@pytest.mark.django_db(transaction=True)
def test_threads_that_write_at_once_never_find_the_database_locked() -> None:
    """In transactions and without. SQLite does not wait here, so each conflict of two threads would be an error."""
    start = threading.Barrier(THREADS)

    def write(number: int) -> None:
        with own_connection():
            start.wait(30)
            for turn in range(10):
                name = f"{number}-{turn}"
                if turn % 2:
                    User.objects.create(username=name)
                else:
                    with transaction.atomic():
                        User.objects.filter(username=name).first()
                        User.objects.create(username=name)
                User.objects.filter(username=name).update(first_name=name)

    with ThreadPoolExecutor(THREADS) as pool:
        assert len([*pool.map(write, range(THREADS))]) == THREADS
    assert User.objects.exclude(first_name="").count() == 10 * THREADS


@pytest.mark.django_db(transaction=True)
def test_turn_ends_with_each_end_of_a_transaction() -> None:
    turns = our_turns()
    inside = list[bool]()
    for error in (None, ValueError, IntegrityError):
        with suppress(ValueError, IntegrityError), transaction.atomic():
            User.objects.create(username=f"{error}")
            inside.append(turns.take(0))
            transaction.on_commit(lambda: inside.append(turns.take(0)))
            if error is not None:
                raise error
        if error is None:
            assert inside == [False, True], "hooks wait for Redis without the turn"
            turns.give()
        assert turns.take(0)
        turns.give()
    with pytest.raises(OperationalError), transaction.atomic():
        connection.cursor().execute("INSERT INTO no_such_table VALUES (1)")
    with transaction.atomic():
        connection.close()
        assert turns.take(0)
    turns.give()


@pytest.mark.django_db(transaction=True)
def test_thread_without_a_turn_finds_the_database_busy(settings: Settings) -> None:
    connection.settings_dict["OPTIONS"]["timeout"], before = 0.01, connection.settings_dict["OPTIONS"]["timeout"]
    turns = our_turns()
    try:
        assert turns.take(0)
        with pytest.raises(OperationalError) as error:
            User.objects.create(username="olga")
        assert database.is_unavailable(error.value)
        assert database.is_busy(error.value)
        with pytest.raises(OperationalError), transaction.atomic():
            pass
        assert not User.objects.exists(), "reading needs no turn"
    finally:
        connection.settings_dict["OPTIONS"]["timeout"] = before
        turns.give()
    User.objects.create(username="olga")


def test_child_process_has_none_of_the_turns_of_its_parent() -> None:
    assert turns_of("test").take(0)
    child = os.fork()
    if not child:
        os._exit(0 if turns_of("test").take(0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    turns_of("test").give()


def test_errors_of_sqlite_are_told_apart() -> None:
    def error(code: int) -> OperationalError:
        raised, cause = OperationalError(), sqlite3.OperationalError()
        cause.sqlite_errorcode = code
        raised.__cause__ = cause
        return raised

    codes = {
        sqlite3.SQLITE_FULL: "DatabaseFull",
        sqlite3.SQLITE_READONLY: "DatabaseReadOnly",
        sqlite3.SQLITE_READONLY_DBMOVED: "DatabaseReadOnly",
        sqlite3.SQLITE_BUSY_SNAPSHOT: "DatabaseBusy",
        sqlite3.SQLITE_IOERR_WRITE: "DatabaseUnavailable",
    }
    assert {code: database.code_of(error(code)) for code in codes} == codes
    assert all(database.is_unavailable(error(code)) for code in codes)
    assert not database.is_unavailable(error(sqlite3.SQLITE_ERROR))
