"""Runs in the installation of a test and moves deadlines closer, so that a test does not wait for them."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import F

from uploads import tasks
from uploads.models import Part, Round, Store, Transfer
from uploads.services.upkeep import watchdog
from uploads.services.work.kinds import KINDS
from uploads.services.work.rounds import only_one

DEADLINES = ("lease_until", "queued_at", "not_before")
"""The columns of all kinds of work."""


def let_time_pass(seconds: float) -> None:
    for kind in KINDS.values():
        kind.rows.update(**{name: F(name) - timedelta(seconds=seconds) for name in DEADLINES})
    ago = timedelta(seconds=seconds)
    Transfer.objects.update(received_at=F("received_at") - ago, progressed_at=F("progressed_at") - ago)
    Part.objects.update(moved_at=F("moved_at") - ago, mark_at=F("mark_at") - ago)
    Store.objects.update(tried_at=F("tried_at") - ago, heard_at=F("heard_at") - ago)
    Round.objects.update(until=F("until") - ago)
    run_round()


def run_round() -> None:
    """Run a round of the watchdog, and those that follow because more is due than one round handles."""
    for _ in range(tasks.MAX_ROUNDS):
        if not _wait_for_own_round():
            return


def _wait_for_own_round() -> bool:
    """Whether more is due. While another process runs a round, this one waits."""
    while True:
        with only_one("watchdog") as held:
            if held is not None:
                return watchdog.run_steps(held)
        time.sleep(0.05)
