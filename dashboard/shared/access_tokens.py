"""The access token of a request."""

from __future__ import annotations

from django.http import HttpRequest

IGNORED = "_ignores_bearer"


def ignore_bearer(request: HttpRequest) -> None:
    """Let the request be one without a token."""
    setattr(request, IGNORED, True)


def bearer_of(request: HttpRequest) -> str | None:
    """The secret in the header Authorization; None if there is none of this scheme, or if the view ignores it."""
    if getattr(request, IGNORED, False):
        return None
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
