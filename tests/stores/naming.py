"""Unique bucket names: tests identify their own data by the bucket alone, whatever the store."""

from __future__ import annotations

import itertools
import os

_numbers = itertools.count(1)


def new_bucket_name() -> str:
    return f"test-{os.getpid()}-{next(_numbers)}"
