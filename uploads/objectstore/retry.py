"""When a request is sent again, and after how long. Pure: sleep and chance are given.

Whether an error may pass by itself (`retryable`) was decided where the error was made, by its code. Here stands what
follows from it for an operation that may be repeated, and for one that may not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter. Times are seconds; `attempts` counts the first one too."""

    attempts: int = 4
    base: float = 0.2
    cap: float = 10.0
    longest_retry_after: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    random: Callable[[], float] = field(default=random.random, repr=False)

    def delay(self, attempt: int, error: ObjectStoreError) -> float:
        """Seconds to wait after the given attempt (the first is 1): never less than a Retry-After within bounds."""
        jittered = self.random() * min(self.cap, self.base * 2.0 ** (attempt - 1))
        asked = error.retry_after if isinstance(error, Refused) else None
        return max(jittered, min(asked or 0.0, self.longest_retry_after))


DEFAULT_RETRIES = RetryPolicy()


def may_repeat(error: ObjectStoreError, *, repeatable: bool) -> bool:
    """Whether the same request may be sent again at once.

    An operation that is not repeatable (Create, Complete) goes again only when the store surely did not act: nothing
    was sent, or it turned the request away for its rate. After anything else the caller has to look first.
    """
    if not error.retryable or repeatable:
        return error.retryable
    return isinstance(error, NotSent) or (isinstance(error, Refused) and error.reason is Reason.THROTTLED)


def run(
    attempt: Callable[[], T],
    policy: RetryPolicy,
    *,
    repeatable: bool,
    before_repeat: Callable[[ObjectStoreError], None] = lambda _: None,
) -> T:
    """Call `attempt` until it succeeds, fails for good, or the policy's attempts are used up; raises its last error."""
    for number in range(1, policy.attempts):
        try:
            return attempt()
        except ObjectStoreError as error:
            if not may_repeat(error, repeatable=repeatable):
                raise
            before_repeat(error)
            policy.sleep(policy.delay(number, error))
    return attempt()
