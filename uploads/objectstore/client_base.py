"""The connection to one store: sends calls, with retries, and reads their responses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TypeVar

from uploads.objectstore import budget
from uploads.objectstore.budget import Budget
from uploads.objectstore.dialects import dialect_of
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.providers import profile_of
from uploads.objectstore.refusals import Response
from uploads.objectstore.retry import DEFAULT_RETRIES, PAGE_ATTEMPTS, RetryPolicy, run
from uploads.objectstore.signing import signer_for
from uploads.objectstore.transport import Call, Observer, Transport
from uploads.objectstore.types import StoreConfig

T = TypeVar("T")


class Threads(Protocol):
    """The threads that may wait for a store at the same time, for pages."""

    def one(self) -> AbstractContextManager[None]:
        """Occupy one of them. Raises NotSent if none is free."""


class ClientBase:
    """Connections to one store. May be shared between threads. Close it, or use it as a context manager."""

    def __init__(
        self,
        config: StoreConfig,
        *,
        retries: RetryPolicy = DEFAULT_RETRIES,
        observer: Observer | None = None,
        threads: Threads | None = None,
    ) -> None:
        """NotSent with BAD_ARGUMENT for an invalid endpoint URL, or an unknown provider or signature."""
        self._threads = threads
        self._provider = profile_of(config)
        self._dialect = dialect_of(config.signature)
        self._transport = Transport(config, signer_for(config), observer)
        self._observer = observer
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    @property
    def clock_offset(self) -> timedelta:
        """How far the store's clock is ahead of ours, to the second; zero before the first response."""
        return self._transport.clock_offset

    @property
    def knows_clock(self) -> bool:
        """Whether a response has named the store's time."""
        return self._transport.knows_clock

    def _call(self, call: Call) -> Response:
        return self._read(call, lambda response: response)

    def _read(
        self,
        call: Call,
        reader: Callable[[Response], T],
        *,
        repeatable: bool = True,
        on_repeat: Callable[[ObjectStoreError], None] = lambda _: None,
    ) -> T:
        """Send the call and read its response, with retries. `on_repeat` is called with the error of each attempt that
        is followed by another.
        """

        def before_repeat(error: ObjectStoreError) -> None:
            on_repeat(error)
            if self._observer is not None:
                self._observer.repeats(error)
            if call.payload is not None:
                call.payload.count_as_unsent()
                if error.reason is Reason.DIGEST_MISMATCH:
                    call.payload.read_digests()

        def attempt() -> T:
            return self._transport.exchange(call, reader)

        page = budget.current()
        if page is None:
            return run(attempt, self._retries, repeatable=repeatable, before_repeat=before_repeat)
        return self._read_for_page(page, attempt, repeatable=repeatable, before_repeat=before_repeat)

    def _read_for_page(
        self,
        page: Budget,
        attempt: Callable[[], T],
        *,
        repeatable: bool,
        before_repeat: Callable[[ObjectStoreError], None],
    ) -> T:
        """As `run`, within what is left of the page's budget, and with at most one retry."""
        policy = replace(self._retries, attempts=min(self._retries.attempts, PAGE_ATTEMPTS))
        with page.spending(), self._threads.one() if self._threads else nullcontext():
            return run(
                attempt, policy, repeatable=repeatable, before_repeat=before_repeat, seconds_left=lambda: page.left
            )
