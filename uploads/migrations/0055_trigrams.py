"""Indexes of the parts of keys and upload ids, on PostgreSQL. Without the extension, searches read all texts."""

from __future__ import annotations

import logging

from django.db import Error, migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

log = logging.getLogger(__name__)

COLUMNS = ("key", "upload_id")


def add(_apps: StateApps | None, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=editor.connection.alias):
            editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except Error as error:
        log.warning("the extension pg_trgm is not available, see docs/deployment.md: %s", error)
        return
    for column in COLUMNS:
        editor.execute(
            f"CREATE INDEX IF NOT EXISTS inventory_{column}_trigrams ON uploads_inventoryupload"
            f' USING gin ("{column}" gin_trgm_ops) WHERE ended_at IS NULL'
        )


def remove(_apps: StateApps | None, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        for column in COLUMNS:
            editor.execute(f"DROP INDEX IF EXISTS inventory_{column}_trigrams")


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0054_covering_indexes"),
    ]

    operations = [migrations.RunPython(add, remove)]
