"""Signing out at the provider, too. The session keeps the ID token for that, encrypted as credentials of stores are."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from uploads.models.fields import cipher
from uploads.services.sso import configuration
from uploads.services.sso.provider import Person, ProviderRefused, ProviderUnavailable, provider

log = logging.getLogger(__name__)

KEY = "sso"
LARGEST_TOKEN = 32 * 1024


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The session at the provider, which outlives ours. `url`: where the browser ends it; '' if it cannot."""

    url: str


def remember(request: HttpRequest, person: Person) -> None:
    token = person.id_token if len(person.id_token) <= LARGEST_TOKEN else ""
    request.session[KEY] = cipher().encrypt(zlib.compress(token.encode())).decode()


def session_elsewhere(request: HttpRequest) -> Elsewhere | None:
    """What is left at the provider after this session; None if the settings leave it alone. Call before signing out."""
    remembered = request.session.get(KEY)
    if remembered is None or settings.OIDC_LOGOUT != "both" or not configuration.is_enabled():
        return None
    back = request.build_absolute_uri(reverse("login"))
    try:
        return Elsewhere(provider().end_session_url(_token(remembered), back))
    except (ProviderUnavailable, ProviderRefused) as error:
        log.warning("signed out here only: %s", error.problem)
        return Elsewhere("")


def _token(remembered: str) -> str:
    """The provider asks before it signs out somebody without a token: keys may have been replaced."""
    try:
        return zlib.decompress(cipher().decrypt(remembered)).decode()
    except (InvalidToken, zlib.error, TypeError):
        return ""
