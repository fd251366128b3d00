"""Databases as older versions have left them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

Migrate = Callable[..., Any]


@pytest.fixture
def migrate(transactional_db: None, tmp_path: Path) -> Iterator[Migrate]:
    """Migrate a new database to a migration of ours, without a name to the newest one. Returns its models.

    A new one gets to an old state in a fraction of the time that the way back from the newest tables takes.
    """

    def to(name: str = "") -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate([("uploads", name)] if name else executor.loader.graph.leaf_nodes())
        # Not the models that the migrations have used: some of these refer to models of an earlier state.
        return MigrationExecutor(connection).loader.project_state([("uploads", name)] if name else None).apps

    with _new_database(tmp_path / "old.sqlite3"):
        yield to


@contextmanager
def _new_database(file: Path) -> Iterator[None]:
    """Use an empty database: this file, or on PostgreSQL another one of the server."""
    settings = connection.settings_dict
    used, name = settings["NAME"], f"old_{secrets.token_hex(4)}"
    on_server = connection.vendor == "postgresql"
    if on_server:
        _run(f'CREATE DATABASE "{name}"')
    connection.close()
    settings["NAME"] = name if on_server else str(file)
    try:
        yield
    finally:
        connection.close()
        settings["NAME"] = used
        if on_server:
            _run(f'DROP DATABASE "{name}"')


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
