"""Partway and a real provider, with Django's test client in place of a browser."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.contrib.auth import get_user
from django.test import Client
from pytest_django import Settings

from dashboard.sso import failures
from tests.openid import Provider
from uploads.services.sso import provider as ours

START = "/login/sso/"


@pytest.fixture(autouse=True)
def sso(db: None, settings: Settings, openid: Provider) -> Iterator[None]:
    """The settings of the provider, which no test of another one has used."""
    for name, value in openid.settings().items():
        setattr(settings, name, value)
    settings.OIDC_SCOPES = ["openid", "profile", "email", "groups"]
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "dashboard.sso.backends.SingleSignOn"]
    ours._provider.cache_clear()
    failures.recent.clear()
    openid.put_claims_in_id_token(inside=True)
    openid.set_lifetime(3600)
    yield
    ours._provider.cache_clear()


class Visitor:
    """Somebody with a browser, who has a name at the provider."""

    def __init__(self, openid: Provider, **claims: Any) -> None:
        self.openid = openid
        self.subject = f"subject-{uuid.uuid4()}"
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=True)
        self._claims: dict[str, Any] = {"preferred_username": "vera"}
        self.set(**claims)

    def set(self, **claims: Any) -> None:
        """Change what the provider says about this person."""
        self._claims |= claims
        self.openid.add_user(self.subject, **self._claims)

    def leave(self, next_url: str = "") -> str:
        """Begin to sign in. Returns the address of the provider."""
        response = self.client.get(START, {"next": next_url} if next_url else {})
        assert response.status_code == 302, response.content.decode()
        return str(response["Location"])

    def come_back(self, url: str) -> Any:
        """The response to the browser that the provider sent back."""
        assert url.startswith("http://testserver/login/sso/callback/?"), url
        return self.client.get(url.removeprefix("http://testserver"))

    def sign_in(self, next_url: str = "") -> Any:
        with requests.Session() as browser:
            return self.come_back(self.openid.sign_in(self.leave(next_url), self.subject, browser))

    @property
    def username(self) -> str:
        """The name of the signed-in user; '' if nobody is signed in."""
        user = get_user(self.client)
        return user.get_username() if user.is_authenticated else ""


@pytest.fixture
def visitor(openid: Provider) -> Visitor:
    return Visitor(openid)
