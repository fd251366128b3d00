"""Runs in the installation of a test and moves deadlines closer, so that a test does not wait for them."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F

from uploads import tasks  # noqa: F401 - declares all kinds of work
from uploads.models import Transfer
from uploads.services.upkeep import watchdog
from uploads.services.work.kinds import KINDS

DEADLINES = ("lease_until", "queued_at", "not_before")
"""The columns of all kinds of work."""


def let_time_pass(seconds: float) -> None:
    for kind in KINDS.values():
        kind.rows.update(**{name: F(name) - timedelta(seconds=seconds) for name in DEADLINES})
    Transfer.objects.update(received_at=F("received_at") - timedelta(seconds=seconds))
    watchdog.watch()
