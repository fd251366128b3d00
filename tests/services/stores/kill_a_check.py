"""Run in a process of its own: a store check, until the process is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import uuid
from unittest import mock

from uploads.objectstore.probing.created import CreatedThings
from uploads.services.stores.checks import run_store_check


def main(check_id: str, notes: int) -> None:
    """SIGKILL when so many changes of what is in the bucket have been written down."""
    add, done = CreatedThings._add, 0

    def counter(created: CreatedThings, *args: object) -> None:
        nonlocal done
        add(created, *args)  # type: ignore[arg-type]
        done += 1
        if done == notes:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(CreatedThings, "_add", counter):
        run_store_check(uuid.UUID(check_id))
