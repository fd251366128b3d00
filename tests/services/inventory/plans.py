"""How the database runs a statement."""

from __future__ import annotations

from django.db import connection


def plan_of(sql: str) -> str:
    """The plan of a statement with its values; on PostgreSQL with the rows that were read."""
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF)"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())
