"""The kinds of leased work. Each package declares its own in `kinds.py` and registers them here.

Leases, the queue, the watchdog, the metrics and the Celery tasks derive from these declarations.
"""

from __future__ import annotations

from typing import Any

from uploads.services.work.leases import Kind, Row

KINDS: dict[str, Kind[Any]] = {}
"""By name, which is also the label of the metric of lease takeovers."""


def register(kind: Kind[Row]) -> Kind[Row]:
    KINDS[kind.name] = kind
    return kind
