"""How the threads of a worker are shared among stores."""

from __future__ import annotations

from uploads.services.work.threads import Shares

A, B, C, D = range(4)


def taken(shares: Shares, store: int, wanted: int, *, is_silent: bool = False) -> int:
    return sum(shares.take(store, ("t", f"{store}-{n}"), is_silent=is_silent) for n in range(wanted))


def test_a_store_alone_leaves_threads_for_others() -> None:
    shares = Shares(8)
    assert taken(shares, A, 20) == 6
    assert taken(shares, B, 20) == 1
    assert taken(shares, C, 20) == 1


def test_stores_that_begin_together_share() -> None:
    shares = Shares(8)
    counts = {A: 0, B: 0}
    for _ in range(8):
        for store in counts:
            counts[store] += taken(shares, store, 1)
    assert counts == {A: 3, B: 3}


def test_silent_stores_have_one_thread_each_and_half_of_all() -> None:
    shares = Shares(8)
    assert [taken(shares, store, 5, is_silent=True) for store in range(10, 16)] == [1, 1, 1, 1, 0, 0]
    assert taken(shares, A, 5) == 3
    assert taken(shares, B, 5) == 1


def test_a_store_that_answers_again_is_not_silent() -> None:
    shares = Shares(8)
    assert taken(shares, A, 3, is_silent=True) == 1
    assert taken(shares, A, 3) == 3


def test_what_waits_is_enqueued_once_and_in_order() -> None:
    shares = Shares(4)
    assert taken(shares, A, 5) == 3
    assert taken(shares, A, 5) == 0
    assert taken(shares, B, 2) == 1
    assert shares.give_back(B) == ("t", "1-1")
    assert [shares.give_back(A) for _ in range(3)] == [("t", "0-3"), ("t", "0-4"), ("t", "0-0")]


def test_a_worker_of_one_thread_works_for_all() -> None:
    shares = Shares(1)
    assert taken(shares, A, 2, is_silent=True) == 1
    assert shares.give_back(A) == ("t", "0-1")
    assert taken(shares, B, 1) == 1
