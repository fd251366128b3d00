"""Requests that wait for a thread: clients are served in turn."""

from __future__ import annotations

import threading
import time
from queue import Empty
from typing import cast

import pytest

from dashboard.site.fair_queue import FairQueue
from dashboard.site.newest_first import NewestFirst


def test_client_with_many_requests_lets_others_through() -> None:
    queue = FairQueue(lambda item: item[0])
    for number in range(1000):
        queue.put(("flood", number))
    queue.put(("visitor", 1))
    queue.put(("visitor", 2))
    assert [queue.get() for _ in range(4)] == [("flood", 0), ("visitor", 1), ("flood", 1), ("visitor", 2)]
    assert queue.qsize() == 998
    assert [queue.get()[1] for _ in range(998)] == [*range(2, 1000)]
    assert queue.empty()


def test_thread_ends_after_all_requests() -> None:
    queue = FairQueue(lambda item: None if item == "end" else item)
    for item in ("a", "end", "b", "end", "a"):
        queue.put(item)
    assert [queue.get() for _ in range(5)] == ["a", "b", "a", "end", "end"]


def test_the_thread_that_began_to_wait_last_gets_the_next_item() -> None:
    """So a quiet server uses few of its threads, and the memory of few."""
    queue = FairQueue(lambda item: item)
    idle = cast("NewestFirst", queue.not_empty)
    got: list[str] = []

    def work(name: str) -> None:
        for item in iter(queue.get, "end"):
            got.append(f"{item} for {name}")
            queue.task_done()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second", "third")]
    for count, thread in enumerate(threads, start=1):
        thread.start()
        while len(idle._waiting) < count:
            time.sleep(0.001)
    for number in range(5):
        queue.put(f"item {number}")
        queue.join()
        while len(idle._waiting) < len(threads):
            time.sleep(0.001)
    for _ in threads:
        queue.put("end")
    for thread in threads:
        thread.join(10)
    assert got == [f"item {number} for third" for number in range(5)]


def test_a_thread_that_waited_in_vain_is_not_woken_later() -> None:
    queue = FairQueue(lambda item: item)
    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    queue.put("item")
    assert queue.get(timeout=1) == "item"
