"""The access token of a request."""

from __future__ import annotations

from django.http import HttpRequest


def bearer_of(request: HttpRequest) -> str | None:
    """The secret in the header Authorization; None if the request does not use this scheme."""
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
