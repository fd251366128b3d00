"""What the web server must know of the site before a thread handles a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """`body_limit`: bytes that the body of a request to this path may have; None: its view reads a file of any size.

    `health`: the paths of the health check that needs no thread. `monitoring`: those whose requests have threads of
    their own. `most_per_address`: connections from one client, unless `is_exempt` says that it is a proxy.
    """

    body_limit: Callable[[bytes], int | None] = lambda _path: None
    health: frozenset[bytes] = frozenset()
    monitoring: frozenset[bytes] = frozenset()
    is_exempt: Callable[[str], bool] = lambda _address: False
    most_per_address: int = 1000


def rules_of_site() -> Rules:
    """Loads the URLs, which takes long the first time."""
    from django.conf import settings
    from django.urls import Resolver404, resolve

    from dashboard.shared.addresses import is_proxy
    from dashboard.shared.body_limits import limit_of
    from dashboard.site.sub_path import inner_path
    from dashboard.transfers.tus.middleware import with_slash

    def body_limit(path: bytes) -> int | None:
        inner = inner_path(path.decode(errors="replace"), settings.SUB_PATH)
        try:
            view = resolve(with_slash(inner)).func
        except Resolver404:
            return limit_of(rules_of_site)
        return limit_of(view)

    def both(*paths: str) -> frozenset[bytes]:
        return frozenset(f"{prefix}{path}".encode() for path in paths for prefix in ("", settings.SUB_PATH))

    body_limit(b"/")
    return Rules(
        body_limit=body_limit,
        health=both("/healthz"),
        monitoring=both("/healthz", "/metrics"),
        is_exempt=is_proxy,
        most_per_address=settings.CONNECTIONS_PER_ADDRESS,
    )
