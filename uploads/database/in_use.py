"""The error of a pool without a free connection. It is in a module of its own because it needs psycopg."""

from __future__ import annotations

import psycopg

from uploads.database.errors import TOO_MANY_CONNECTIONS


class AllInUse(psycopg.OperationalError):
    """Every connection of this process is in use."""

    sqlstate = TOO_MANY_CONNECTIONS
