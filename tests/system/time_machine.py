"""Runs inside an installation of a test: what waits for a moment in the future waits that much less."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Model

from uploads.models import OperationItem, Part, StoreCheck, Transfer
from uploads.services.upkeep import watchdog

WAITING_FOR: dict[type[Model], tuple[str, ...]] = {
    Part: ("lease_until", "queued_at", "not_before"),
    OperationItem: ("lease_until", "queued_at", "not_before"),
    StoreCheck: ("lease_until", "queued_at", "not_before"),
    Transfer: ("lease_until", "queued_at", "not_before", "received_at"),
}


def let_time_pass(seconds: float) -> None:
    for model, names in WAITING_FOR.items():
        earlier = {name: F(name) - timedelta(seconds=seconds) for name in names}
        model._default_manager.update(**earlier)
    watchdog.watch()
