"""Which headers a request had several times."""

from __future__ import annotations

from django.http import HttpRequest

REPEATED_HEADERS = "partway.repeated_headers"
"""The key in the WSGI environment where our web server puts their names."""


def repeated_headers(request: HttpRequest) -> frozenset[str]:
    """Their names, such as Upload-Length. With another web server, it is not known."""
    names: frozenset[str] = request.META.get(REPEATED_HEADERS, frozenset())
    return names
