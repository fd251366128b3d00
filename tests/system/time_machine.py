"""Runs in the installation of a test and moves deadlines closer, so that a test does not wait for them."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Model

from uploads.models import OperationItem, Part, StoreCheck, Transfer
from uploads.services.upkeep import watchdog

DEADLINES: dict[type[Model], tuple[str, ...]] = {
    Part: ("lease_until", "queued_at", "not_before"),
    OperationItem: ("lease_until", "queued_at", "not_before"),
    StoreCheck: ("lease_until", "queued_at", "not_before"),
    Transfer: ("lease_until", "queued_at", "not_before", "received_at"),
}


def let_time_pass(seconds: float) -> None:
    for model, names in DEADLINES.items():
        earlier = {name: F(name) - timedelta(seconds=seconds) for name in names}
        model._default_manager.update(**earlier)
    watchdog.watch()
