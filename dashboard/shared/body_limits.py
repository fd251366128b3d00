"""How many bytes the body of a request may have, by its view. All of it must arrive within a deadline.

The web server reads such a body before a thread handles the request, and gives a file to its view as it arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

SMALL_BODY = 1024**2
"""Bytes, for every view without a limit of its own."""
LARGE_FORM = 8 * 1024**2
"""Bytes of a form with 1,000 selected uploads: keys of 1,024 bytes, percent-encoded, fit."""

TOO_LARGE = "partway.body_too_large"
"""In the WSGI environment: the body exceeds the limit, and was not read."""

View = TypeVar("View", bound=Callable[..., Any])


def receives_file(view: View) -> View:
    """A view that reads its body from the connection: a file of any size."""
    return _limited(view, None)


def receives_large_form(view: View) -> View:
    return _limited(view, LARGE_FORM)


def limit_of(view: Callable[..., Any]) -> int | None:
    """None: no limit."""
    limit: int | None = getattr(view, "body_limit", SMALL_BODY)
    return limit


def _limited(view: View, limit: int | None) -> View:
    view.body_limit = limit  # type: ignore[attr-defined]
    return view
