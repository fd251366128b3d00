"""Django's backend for SQLite, with which the threads of a process write in turn (`base.py`)."""
