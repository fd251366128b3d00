"""The endpoints of providers: made from a region, and recognised by their host. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from uploads.objectstore.providers import PROVIDERS, Provider

REGION = "REGION"
OWN_HOSTS = ".example.org"
"""Hints with this domain belong to self-hosted stores, whose endpoint only the operator knows."""

_PLACEHOLDER = re.compile("[A-Z]+")
_HOST_LABEL = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def is_made_from_region(provider: Provider) -> bool:
    """Whether the endpoint depends on nothing but the region, or not even on that."""
    placeholders = set(_PLACEHOLDER.findall(provider.endpoint_hint))
    return not placeholders - {REGION} and OWN_HOSTS not in provider.endpoint_hint


def is_elsewhere(provider: Provider, region: str) -> bool:
    """Whether this region of the provider has an endpoint with another pattern, which is not supported here."""
    return bool(provider.regions_elsewhere) and region.startswith(provider.regions_elsewhere)


def endpoint_of(provider: Provider, region: str) -> str:
    """The provider's endpoint in a region; '' if only the operator knows it, or no host name can contain the region."""
    if is_elsewhere(provider, region) or not is_made_from_region(provider) or not _HOST_LABEL.fullmatch(region):
        return ""
    return provider.endpoint_hint.replace(REGION, region)


def provider_at(endpoint_url: str) -> Provider | None:
    """The provider whose endpoints have the host of this URL; None for other hosts."""
    host = urlsplit(endpoint_url).hostname or ""
    return next((each for each in PROVIDERS.values() if _is_host_of(each, host)), None)


def _is_host_of(provider: Provider, host: str) -> bool:
    hint = urlsplit(provider.endpoint_hint).netloc
    if OWN_HOSTS in hint:
        return False
    pattern = "[a-z0-9-]+".join(re.escape(piece) for piece in _PLACEHOLDER.split(hint))
    return re.fullmatch(pattern, host) is not None


def origin(endpoint_url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of the server that receives the requests. ValueError for an invalid URL."""
    url = urlsplit(endpoint_url)
    return url.scheme, url.hostname or "", url.port or {"http": 80, "https": 443}.get(url.scheme)
