"""Which errors are retried, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.objectstore.errors import NotSent, ObjectStoreError, OutcomeUnknown, Reason, Refused, UnreadableResponse
from uploads.objectstore.retry import RetryPolicy, may_repeat, run


def refused(reason: Reason, *, retryable: bool, retry_after: float | None = None) -> Refused:
    return Refused("no", code="X", status=503, reason=reason, retryable=retryable, retry_after=retry_after)


NOT_SENT = NotSent("no", reason=Reason.UNREACHABLE, retryable=True)
UNKNOWN = OutcomeUnknown("no", reason=Reason.TIMEOUT, retryable=True)
UNREADABLE = UnreadableResponse("no", reason=Reason.UNREADABLE_RESPONSE)
THROTTLED = refused(Reason.THROTTLED, retryable=True)
WITHOUT_CODE = [
    Refused("", code=str(status), status=status, reason=Reason.THROTTLED, retryable=True) for status in (429, 503)
]
FAULT = refused(Reason.STORE_FAULT, retryable=True)
DENIED = refused(Reason.PERMISSION, retryable=False)


@pytest.mark.parametrize(
    ("error", "repeatable", "otherwise"),
    [
        (NOT_SENT, True, True),
        (UNKNOWN, True, False),
        (UNREADABLE, False, False),
        (THROTTLED, True, True),
        *((error, True, False) for error in WITHOUT_CODE),
        (FAULT, True, False),
        (DENIED, False, False),
        (NotSent("no", reason=Reason.BAD_KEY), False, False),
    ],
)
def test_which_errors_are_retried(error: ObjectStoreError, repeatable: bool, otherwise: bool) -> None:
    assert may_repeat(error, repeatable=True) is repeatable
    assert may_repeat(error, repeatable=False) is otherwise


@given(st.integers(1, 60), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_wait_is_limited(attempt: int, chance: float, retry_after: float | None) -> None:
    policy = RetryPolicy(random=lambda: chance)
    delay = policy.delay(attempt, refused(Reason.THROTTLED, retryable=True, retry_after=retry_after))
    assert 0 <= delay <= max(policy.cap, policy.longest_retry_after)
    assert delay >= min(retry_after or 0, policy.longest_retry_after)


def test_waits_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base=1, cap=5, random=lambda: 1.0)
    assert [policy.delay(attempt, UNKNOWN) for attempt in range(1, 6)] == [1, 2, 4, 5, 5]


def test_jitter_is_full() -> None:
    assert RetryPolicy(random=lambda: 0.0).delay(5, UNKNOWN) == 0


class Attempts:
    def __init__(self, *outcomes: ObjectStoreError | str) -> None:
        self._outcomes = iter(outcomes)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        outcome = next(self._outcomes)
        if isinstance(outcome, ObjectStoreError):
            raise outcome
        return outcome


def test_attempts_continue_until_success() -> None:
    slept: list[float] = []
    reported: list[ObjectStoreError] = []
    attempts = Attempts(NOT_SENT, UNKNOWN, "done")
    policy = RetryPolicy(sleep=slept.append, random=lambda: 1.0)
    assert run(attempts, policy, repeatable=True, before_repeat=reported.append) == "done"
    assert attempts.count == 3
    assert slept == [0.2, 0.4]
    assert reported == [NOT_SENT, UNKNOWN]


def test_last_error_is_raised() -> None:
    attempts = Attempts(NOT_SENT, UNKNOWN, THROTTLED)
    with pytest.raises(Refused) as caught:
        run(attempts, RetryPolicy(attempts=3, sleep=lambda _: None), repeatable=True)
    assert caught.value is THROTTLED


def test_permanent_error_is_not_retried() -> None:
    attempts = Attempts(DENIED)
    with pytest.raises(Refused):
        run(attempts, RetryPolicy(sleep=lambda _: None), repeatable=True)
    assert attempts.count == 1
