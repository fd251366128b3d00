"""The entries of the audit log about sweeps, and the queue of their work."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from uploads import audit
from uploads.models import Sweep
from uploads.services.work.tasks import SCAN_QUEUE

SWEEP_QUEUE = SCAN_QUEUE
"""The queue of background work on the inventory, with a process of its own: no abort of an operator waits behind it."""


def sweep_queue(_node: str) -> str:
    return SWEEP_QUEUE


def record(actor: User | None, action: str, sweep: Sweep, **detail: Any) -> None:
    """Call it in the transaction of the change."""
    audit.record(
        actor,
        f"sweep.{action}",
        store=sweep.store.name if sweep.store else "",
        bucket=sweep.bucket,
        detail={"sweep": str(sweep.pk), **detail},
    )
