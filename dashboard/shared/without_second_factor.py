"""Which pages users see who still have to set up their second factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

View = TypeVar("View", bound=Callable[..., object])


def without_second_factor(view: View) -> View:
    """Mark a view as one that needs no second factor: that which sets it up, and signing out."""
    view.without_second_factor = True  # type: ignore[attr-defined]
    return view


def needs_second_factor(view: object) -> bool:
    return not getattr(view, "without_second_factor", False)
