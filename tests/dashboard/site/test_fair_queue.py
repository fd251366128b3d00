"""Requests that wait for a thread: clients are served in turn."""

from __future__ import annotations

from dashboard.site.fair_queue import FairQueue


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
