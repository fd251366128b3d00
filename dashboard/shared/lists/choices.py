"""Choices that several lists have."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from uploads import access


def store_names(request: HttpRequest) -> list[tuple[str, Any]]:
    """The stores that the user may see."""
    names = access.visible_stores(request.user).order_by("name").values_list("name", flat=True)
    return [(name, name) for name in names]
