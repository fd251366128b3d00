"""PostgreSQL for Partway's processes: Django's backend (`base.py`) with a small pool of connections for each process.

A thread has a connection only while it runs a statement or a transaction. While it waits for the bytes of a request,
for a store or for staging, it has none. A few connections are therefore enough for many threads, and no code has to
return one. Django's pool gives a thread a connection until the end of its request, which may take an hour.

A process that has not called `use_pool` connects as Django does: commands, tests and the parent of worker processes.
On SQLite, the threads of a process write in turn (`sqlite/`).
"""

from django.db import connection

from uploads.database.errors import code_of, is_busy, is_full, is_unavailable
from uploads.database.pool import UNTIL_IT_RESPONDS, pause, stop_waiting, use_pool, waiting

__all__ = [
    "UNTIL_IT_RESPONDS",
    "code_of",
    "is_busy",
    "is_full",
    "is_unavailable",
    "locks_rows",
    "pause",
    "stop_waiting",
    "use_pool",
    "waiting",
]


def locks_rows() -> bool:
    """Whether a transaction has to lock the rows that others must not change. SQLite has one writer at a time."""
    return connection.features.has_select_for_update
