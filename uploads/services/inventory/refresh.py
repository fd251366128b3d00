"""Keeping verdicts and sums up to date, as a task of the scanners: the watchdog only says that something is due."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import transaction

from uploads.services.inventory import judging, sums
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.rounds import only_one
from uploads.services.work.tasks import SCAN_QUEUE

SECONDS = 10.0
"""How long one task goes on. Then the next one follows, behind the work of scans that waits."""

UPLOADS = 500
"""Uploads that a step judges again."""

STEPS: tuple[tuple[Callable[[int], int], int], ...] = (
    (judging.rejudge_due, UPLOADS),
    (judging.apply_thresholds, UPLOADS),
    (sums.refresh_sums, 1),
)
"""What is done, and how much of it between two renewals of the round."""


def is_due() -> bool:
    return judging.is_due() or sums.is_due()


@transaction.atomic
def request() -> None:
    """Have a scanner do what is due. A second request while one is at it ends at once."""
    enqueue_on_commit("refresh_inventory", ["now"], queue=SCAN_QUEUE)


def refresh() -> None:
    """Judge again and add up what is due, for a limited time. One process at a time."""
    has_more = False
    with only_one("inventory") as held:
        until = time.monotonic() + SECONDS
        while held is not None:
            held.renew()
            counts = [step(limit) >= limit for step, limit in STEPS]
            has_more = any(counts)
            if not has_more or time.monotonic() > until:
                break
    if has_more:
        request()


def request_sums(buckets: list[int]) -> None:
    """Have the sums of these buckets computed at once. Call it in a transaction."""
    enqueue_on_commit("sum_up", buckets, queue=SCAN_QUEUE)
