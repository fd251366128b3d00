"""One thread does what several ask for at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from uploads.services.work.combining import Combiner


class Work:
    """Work that waits until the test lets it go on. `batches` are the items of each call."""

    def __init__(self, most: int = 10) -> None:
        self.batches: list[list[int]] = []
        self.failing: set[int] = set()
        self.begun = threading.Semaphore(0)
        self.goes_on = threading.Semaphore(0)
        self.combiner = Combiner(self._act, most)

    def _act(self, items: Sequence[int]) -> None:
        self.batches.append(list(items))
        self.begun.release()
        assert self.goes_on.acquire(timeout=30)
        if self.failing & {*items}:
            raise ValueError(items)

    def do_all(self, items: Sequence[int]) -> list[Future[bool]]:
        """Ask for the first item, and for all others in their order while it is acted on."""
        pool = ThreadPoolExecutor(len(items))
        asked = []
        for count, item in enumerate(items):
            asked.append(pool.submit(self.combiner.do, item))
            if count == 0:
                assert self.begun.acquire(timeout=30)
            while len(self.combiner._waiting) < count:
                pass
        pool.shutdown(wait=False)
        return asked


def test_single_item_is_acted_on_at_once() -> None:
    work = Work()
    work.goes_on.release(2)
    assert work.combiner.do(1)
    assert work.combiner.do(2)
    assert work.batches == [[1], [2]]


def test_items_that_come_meanwhile_are_acted_on_together() -> None:
    work = Work()
    asked = work.do_all([1, 2, 3, 4])
    work.goes_on.release(2)
    assert [each.result(30) for each in asked] == [True] * 4
    assert work.batches == [[1], [2, 3, 4]]


def test_number_of_items_is_limited() -> None:
    work = Work(most=2)
    asked = work.do_all([1, 2, 3, 4])
    work.goes_on.release(3)
    assert [each.result(30) for each in asked] == [True] * 4
    assert work.batches == [[1], [2, 3], [4]]


def test_failure_of_several_is_not_that_of_each() -> None:
    """The callers learn that it failed. The next items are acted on."""
    work = Work(most=2)
    work.failing = {3}
    asked = work.do_all([1, 2, 3, 4])
    work.goes_on.release(3)
    assert [each.result(30) for each in asked] == [True, False, False, True]


def test_failure_of_one_is_raised() -> None:
    work = Work()
    work.failing = {1}
    asked = work.do_all([1, 2])
    work.goes_on.release(2)
    with pytest.raises(ValueError, match="1"):
        asked[0].result(30)
    assert asked[1].result(30)
