"""The address of a client: that of the connection, or what a trusted proxy says about it."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from uploads.domain.addresses import Address, parsed


def address_of(request: HttpRequest) -> str:
    """The address of the client of a request, '' if it has none (a Unix socket)."""
    return client_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def client_address(connected: str, forwarded_for: str) -> str:
    """The rightmost address that is not that of a proxy in TRUSTED_PROXIES.

    Each proxy appends the address that it was called from to X-Forwarded-For. What is left of the first address that
    is not trusted may be invented. Without trusted proxies the header means nothing.
    """
    found = parsed(connected)
    if found is None:
        return ""
    before = forwarded_for.split(",") if forwarded_for else []
    while before and _is_trusted(found):
        named = parsed(before.pop())
        if named is None:
            break
        found = named
    return str(found)


def is_proxy(text: str) -> bool:
    """Whether this is the address of a trusted proxy, whose connections are those of many clients."""
    address = parsed(text)
    return address is not None and _is_trusted(address)


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)
