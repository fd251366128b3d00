"""What the settings allow of a store: its addresses, and where its CA bundle is."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from uploads.objectstore.addresses import AddressRules, Allowed, Network
from uploads.problems import Code, Problem, ProblemError


def address_rules() -> AddressRules:
    """The rules of STORE_ALLOWED_ADDRESSES and STORE_NETWORKS; Redis and the database are services of ours."""
    database = settings.DATABASES["default"]
    services = [(database.get("HOST") or "", database.get("PORT") or 5432), *_redis(settings.REDIS_URL)]
    own = tuple((host, int(port)) for host, port in services if host and not host.startswith("/"))
    return _rules(tuple(settings.STORE_ALLOWED_ADDRESSES), tuple(settings.STORE_NETWORKS), own)


@lru_cache(maxsize=8)
def _rules(
    allowed: tuple[Allowed, ...], networks: tuple[Network, ...], services: tuple[tuple[str, int], ...]
) -> AddressRules:
    return AddressRules(allowed, networks, services)


def _redis(url: str) -> list[tuple[str, int]]:
    parts = urlsplit(url)
    return [(parts.hostname or "", parts.port or 6379)] if parts.scheme in ("redis", "rediss") else []


def ca_bundle_path(entered: str) -> str:
    """The file of a CA bundle: a path below STORE_CA_DIR, or relative to it. '' stays ''.

    Raises ProblemError if the path, with all links resolved, is elsewhere, whether there is a file or not.
    """
    if not entered:
        return ""
    folder = Path(settings.STORE_CA_DIR)
    path = (folder / entered).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ProblemError(Problem(Code.CA_BUNDLE_OUTSIDE, path=entered, folder=str(folder)))
    return str(path)
