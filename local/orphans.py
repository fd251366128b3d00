"""Processes whose parent has died: the launcher becomes their parent, so that it can end them.

A web server or worker that is killed leaves its children behind, which hold ports and files. Without a subreaper they
would become children of the init process and keep running.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Container
from contextlib import suppress

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Make this process the parent of orphaned descendants (PR_SET_CHILD_SUBREAPER in prctl(2), Linux only)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(known: Container[int]) -> None:
    """Kill and reap every child that is not among the known ones."""
    for child in psutil.Process().children():
        if child.pid not in known:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                child.kill()
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)


def end_all() -> None:
    """Kill everything below this process."""
    while children := psutil.Process().children(recursive=True):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        end(known=())
