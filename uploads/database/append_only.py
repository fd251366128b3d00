"""Triggers that let rows of the audit log be added only, on PostgreSQL and SQLite.

The retention is the one exception: in its transaction, a row of AuditRemoval names the time before which entries may be
deleted. Nothing may change an entry, and nothing may empty the table. SQLite drops the triggers of a table that a
migration rebuilds: they are created again after each `migrate`.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from uploads.models.audit import AuditEntry, AuditRemoval

REFUSAL = "audit log is append-only"

TABLE = AuditEntry._meta.db_table
REMOVALS = AuditRemoval._meta.db_table
MAY_BE_REMOVED = f"EXISTS (SELECT 1 FROM {REMOVALS} WHERE OLD.at < {REMOVALS}.until)"  # noqa: S608 - names of tables

ON_SQLITE = {
    "audit_no_update": f"BEFORE UPDATE ON {TABLE}",
    "audit_no_delete": f"BEFORE DELETE ON {TABLE} WHEN NOT {MAY_BE_REMOVED}",
    # INSERT OR REPLACE deletes a row without the trigger before.
    "audit_no_replace": f"BEFORE INSERT ON {TABLE} WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id)",  # noqa: S608
}

ON_POSTGRESQL = {
    "audit_no_change": f"BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW",
    "audit_no_truncate": f"BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT",
}

FUNCTION = f"""
CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF {MAY_BE_REMOVED} THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'insufficient_privilege';
END $$
"""


def creating(vendor: str) -> list[str]:
    """The statements that create the triggers. They can be repeated."""
    if vendor == "sqlite":
        refusal = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        return [f"CREATE TRIGGER IF NOT EXISTS {name} {when} {refusal}" for name, when in ON_SQLITE.items()]
    executes = "EXECUTE FUNCTION audit_append_only()"
    return [FUNCTION, *(f"CREATE OR REPLACE TRIGGER {name} {when} {executes}" for name, when in ON_POSTGRESQL.items())]


def dropping(vendor: str) -> list[str]:
    if vendor == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {name}" for name in ON_SQLITE]
    return [f"DROP TRIGGER IF EXISTS {name} ON {TABLE}" for name in ON_POSTGRESQL]


def create_triggers(using: str) -> None:
    _execute(using, creating(connections[using].vendor))


def drop_triggers(using: str) -> None:
    _execute(using, dropping(connections[using].vendor))


def _execute(using: str, statements: list[str]) -> None:
    with connections[using].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def after_migrate(*, using: str, **_: Any) -> None:
    """Connected to `post_migrate`. After a migration to an earlier version there may be no such tables."""
    if {TABLE, REMOVALS} <= set(connections[using].introspection.table_names()):
        create_triggers(using)
