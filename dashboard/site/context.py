"""What every page may use without its view giving it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from uploads.services.upkeep.health import queue_is_away


def queue(_request: HttpRequest) -> dict[str, Any]:
    """`queue_is_away` is asked only by templates that use it."""
    return {"queue_is_away": queue_is_away}
