"""When a request is retried, and after how long. Pure: sleep and random numbers are parameters.

Whether an error is temporary (`retryable`) is decided by its code, where the error is created. This module decides what
follows for operations that may be repeated, and for those that may not.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from uploads.objectstore.errors import NotSent, ObjectStoreError, Refused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter. Times are seconds; `attempts` includes the first one."""

    attempts: int = 4
    base: float = 0.2
    cap: float = 10.0
    longest_retry_after: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    random: Callable[[], float] = field(default=random.random, repr=False)

    def delay(self, attempt: int, error: ObjectStoreError) -> float:
        """Seconds to wait after the given attempt (from 1): at least the Retry-After of the response, up to a limit."""
        jittered = self.random() * min(self.cap, self.base * 2.0 ** (attempt - 1))
        requested = error.retry_after if isinstance(error, Refused) else None
        return max(jittered, min(requested or 0.0, self.longest_retry_after))


DEFAULT_RETRIES = RetryPolicy()

PAGE_ATTEMPTS = 2
"""Attempts of a request that a page waits for."""


def may_repeat(error: ObjectStoreError, *, repeatable: bool) -> bool:
    """Whether the same request may be retried immediately.

    An operation that is not repeatable (Create, Complete) is retried only if the store certainly did not act: nothing
    was sent, or the store throttled the request with an error code. A 503 or 429 without one may come from a proxy
    after the store has acted: after these and other errors the caller has to check the state of the store first.
    """
    if not error.retryable or repeatable:
        return error.retryable
    return isinstance(error, NotSent) or (isinstance(error, Refused) and error.is_throttled_by_store)


def run(
    attempt: Callable[[], T],
    policy: RetryPolicy,
    *,
    repeatable: bool,
    before_repeat: Callable[[ObjectStoreError], None] = lambda _: None,
    seconds_left: Callable[[], float] = lambda: math.inf,
) -> T:
    """Call `attempt` until it succeeds, may not be retried, or the attempts are used up; raises its last error.

    There is no other attempt either if it would start after `seconds_left`.
    """
    for number in range(1, policy.attempts):
        try:
            return attempt()
        except ObjectStoreError as error:
            if not may_repeat(error, repeatable=repeatable):
                raise
            delay = policy.delay(number, error)
            if delay >= seconds_left():
                raise
            before_repeat(error)
            policy.sleep(delay)
    return attempt()
