"""Names of buckets that no other test has, in whatever store: tests look for what is theirs by the bucket alone."""

from __future__ import annotations

import itertools
import os

_numbers = itertools.count(1)


def new_bucket_name() -> str:
    return f"test-{os.getpid()}-{next(_numbers)}"
