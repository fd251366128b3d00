"""Signing out ends the session here, and that at the provider if the settings say so."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.sso.conftest import Visitor
from tests.openid import Provider
from uploads.services.sso import provider as ours


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def sign_out(client: Client) -> Any:
    client.get("/transfers/")
    token = client.cookies["partway_csrf"].value
    return client.post("/logout/", {"csrfmiddlewaretoken": token})


def provider_address(response: Any) -> str:
    """Where the page leads by itself."""
    found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', response.content.decode())
    return html.unescape(found[1]) if found else ""


def test_both_sessions_end(visitor: Visitor, openid: Provider) -> None:
    with requests.Session() as browser:
        visitor.come_back(openid.sign_in(visitor.leave(), visitor.subject, browser))
        url = visitor.leave()
        assert visitor.come_back(openid_again(browser, url)).status_code == 302, "the provider asks nothing again"
        response = sign_out(visitor.client)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        assert visitor.username == ""
        address = provider_address(response)
        query = parse_qs(urlsplit(address).query)
        assert address.startswith(f"{openid.issuer}/session/end?")
        assert query["post_logout_redirect_uri"] == ["http://testserver/login/"]
        assert len(query["id_token_hint"][0].split(".")) == 3
        page = browser.get(address)
        action = re.search(r'action="([^"]+)"', page.text)
        secret = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert action is not None
        assert secret is not None
        done = browser.post(action[1], data={"xsrf": secret[1], "logout": "yes"}, allow_redirects=False)
        assert done.headers["Location"].startswith("http://testserver/login/")
        # The provider asks who it is again.
        assert 'name="login"' in browser.get(visitor.leave()).text


def openid_again(browser: requests.Session, url: str) -> str:
    """The address that the provider sends the browser back to without asking."""
    response = browser.get(url, allow_redirects=False)
    return response.headers["Location"]


def test_only_our_session_ends_if_configured(visitor: Visitor, settings: Settings) -> None:
    settings.OIDC_LOGOUT = "ours"
    visitor.sign_in()
    response = sign_out(visitor.client)
    assert (response.status_code, response["Location"]) == (302, "/login/")


def test_session_that_began_with_a_password_ends_here(settings: Settings) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="local"), "django.contrib.auth.backends.ModelBackend")
    assert sign_out(client).status_code == 302


def test_provider_is_down(visitor: Visitor, openid: Provider) -> None:
    visitor.sign_in()
    ours._provider.cache_clear()
    openid.stop()
    try:
        response = sign_out(visitor.client)
    finally:
        openid.start()
    assert response.status_code == 200
    assert "You are signed out of Partway, but perhaps not of Example ID" in text_of(response)
    assert visitor.username == ""


def test_keys_were_replaced(visitor: Visitor, settings: Settings) -> None:
    visitor.sign_in()
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    address = provider_address(sign_out(visitor.client))
    assert "id_token_hint" not in address
    assert "client_id=partway" in address
