"""Keeping the memory of a process, which has secrets, to itself."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress

PR_SET_DUMPABLE = 4


def protect_memory() -> None:
    """No core file of this process and its children, and no look into its memory by other processes of its user.

    The limit alone is not enough: the kernel ignores it for programs that receive core dumps, such as systemd-coredump.
    The user root can still read the memory.
    """
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(AttributeError, OSError):  # Linux only
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
