"""Processes whose parent died: the launcher takes them in, so that it can end them.

A web server or worker that is killed leaves its own children behind, holding ports and files. Without a 'subreaper'
above them they would pass to the system's first process and run on unseen.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Container
from contextlib import suppress

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Have the kernel hand orphaned descendants to this process (prctl(2); Linux only)."""
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
