"""Every URL needs a login, and every change needs a POST with a CSRF token. Refusals have the client's format."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver

from dashboard.site.urls import urlpatterns

PUBLIC = {"login", "login-code", "sso-start", "sso-callback", "invitation", "healthz", "metrics", "catalog"}
"""Names of the URLs that work without a login."""

VALUES = {
    "store": "main",
    "bucket": "a-bucket",
    "operation_id": str(uuid.UUID(int=1)),
    "transfer_id": str(uuid.UUID(int=2)),
    "check_id": str(uuid.UUID(int=3)),
    "scan_id": str(uuid.UUID(int=4)),
    "sweep_id": str(uuid.UUID(int=5)),
    "repeating_id": str(uuid.UUID(int=6)),
    "token_id": "4000000",
    "view_id": "4000000",
    "user_id": "4000000",
    "group_id": "4000000",
    "grant_id": "4000000",
    "rule_id": "4000000",
    "name": "transfers",
    "language": "en",
    "version": "0",
}
"""A value for every argument of a path. None of them exists, which a client without a login must not learn."""

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def paths(patterns: list[Any], before: str = "/") -> Iterator[tuple[str, str]]:
    """The name and the path of every URL of the site, with an example value for each argument."""
    for pattern in patterns:
        route = before + re.sub(r"<\w+:(\w+)>", lambda match: VALUES[match[1]], str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from paths(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield pattern.name or route, route


EVERY = dict(paths(urlpatterns))


def test_table_covers_the_whole_site() -> None:
    assert {"overview", "stores", "uploads", "upload", "abort", "complete", "operation", "transfers", "audit"} <= set(
        EVERY
    )
    assert EVERY["abort"] == "/stores/main/a-bucket/uploads/abort/"


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(set(EVERY) - PUBLIC))
def test_url_needs_a_login(name: str) -> None:
    client = Client()
    for method in METHODS:
        response = getattr(client, method)(EVERY[name])
        refused = response.status_code in {302, 401, 403, 405}
        assert refused, (method, response.status_code)
        if response.status_code == 302:
            assert response["Location"].startswith("/login/?next=")


@pytest.mark.django_db
def test_user_without_a_role_is_led_to_the_own_account() -> None:
    client = Client()
    client.force_login(User.objects.create_user("eve"))
    page = client.get("/")
    assert page.status_code == 403
    assert "You have no role here yet." in page.content.decode()
    assert 'class="btn" href="/account/"' in page.content.decode()
    assert client.get("/account/").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(set(EVERY) - PUBLIC))
def test_post_needs_a_csrf_token(name: str, operator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    response = client.post(EVERY[name])
    # The view of the file form reads the body itself. It refuses another content type before it checks the token.
    assert response.status_code in ({400, 403} if name == "new-transfer" else {403, 405})
    if response.status_code == 403 and EVERY[name].startswith("/files/"):
        assert response.json()["error"]["code"] == "CsrfCookieMissing"
    elif response.status_code == 403:
        assert "not accepted" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(set(EVERY) - PUBLIC))
def test_other_methods_are_refused(name: str, operator: User) -> None:
    """No URL accepts PUT, PATCH or DELETE, except for tus uploads."""
    client = Client()
    client.force_login(operator)
    # These methods are for tus uploads. They are refused without the version of the protocol.
    refusals = {"patch": 412, "delete": 412} if name == "file" else {}
    for method in ("put", "patch", "delete"):
        assert getattr(client, method)(EVERY[name]).status_code == refusals.get(method, 405), method


def test_healthz_reports_only_ok() -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok")


@pytest.mark.django_db
def test_signing_in_and_out(operator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.get("/login/?next=/stores/")
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.content)
    assert token
    form = {"username": "olga", "next": "/stores/", "csrfmiddlewaretoken": token[1].decode()}
    wrong = client.post("/login/", form | {"password": "wrong"})
    assert wrong.status_code == 200
    assert b"Please enter a correct username" in wrong.content
    right = client.post("/login/", form | {"password": "olga's password"})
    assert (right.status_code, right["Location"]) == (302, "/stores/")
    assert client.get("/stores/").status_code == 200
    assert client.get("/logout/").status_code == 405
    page = client.get("/stores/")
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.content)
    assert token
    assert client.post("/logout/", {"csrfmiddlewaretoken": token[1].decode()}).status_code == 302
    assert client.get("/stores/").status_code == 302


@pytest.mark.django_db
def test_next_url_of_another_site_is_ignored(operator: User) -> None:
    response = Client().post(
        "/login/", {"username": "olga", "password": "olga's password", "next": "https://evil.example/"}
    )
    assert response["Location"] == "/"


@pytest.mark.django_db
def test_json_and_polls_without_a_session_are_refused_in_their_format() -> None:
    """They are not redirected: scripts take a redirect for that of a proxy."""
    client = Client()
    for path in ("/stores/", "/login/"):
        response = client.get(path, headers={"Accept": "application/json"})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "NotSignedIn")
    posted = client.post(EVERY["transfer"] + "cancel/", headers={"Accept": "application/json"})
    assert (posted.status_code, posted.json()["error"]["code"]) == (401, "NotSignedIn")
    poll = client.get(EVERY["operation"], headers={"HX-Request": "true"})
    assert (poll.status_code, poll["HX-Refresh"]) == (200, "true")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login/", "/stores/", "/no-such-page", "/healthz", "/files/"])
def test_every_response_is_marked(path: str) -> None:
    """Scripts recognize responses of a proxy by the missing mark."""
    assert Client().get(path)["Partway-Response"] == "1"


def test_every_page_has_a_strict_policy(operator_client: Client) -> None:
    response = operator_client.get("/stores/")
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response["X-Frame-Options"] == "DENY"


def test_pages_have_no_inline_scripts_or_styles(operator_client: Client) -> None:
    """The policy refuses scripts and styles in a page, and handlers in attributes."""
    for url in ("/stores/", "/login/", "/nothing-here"):
        text = operator_client.get(url).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|hx-on", text), url


def test_not_found_has_its_own_page(operator_client: Client) -> None:
    response = operator_client.get("/nothing-here")
    assert response.status_code == 404
    assert "There is nothing at this address." in response.content.decode()
    response = operator_client.get("/stores/none/", headers={"Accept": "application/json"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "NotFound"
