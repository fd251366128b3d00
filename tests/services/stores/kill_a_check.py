"""Runs a store check in its own process, and kills the process during the check."""

from __future__ import annotations

import os
import signal
import uuid
from unittest import mock

from uploads.objectstore.probing.created import CreatedThings
from uploads.services.stores.checks.run import run_store_check


def main(check_id: str, changes: int) -> None:
    """SIGKILL after so many changes of the bucket have been recorded."""
    add, done = CreatedThings._add, 0

    def counter(created: CreatedThings, *args: object) -> None:
        nonlocal done
        add(created, *args)  # type: ignore[arg-type]
        done += 1
        if done == changes:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(CreatedThings, "_add", counter):
        run_store_check(uuid.UUID(check_id))
