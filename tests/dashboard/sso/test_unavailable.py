"""The provider does not respond: pages do not wait for it, say so, and work otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.sso.conftest import START, Visitor
from tests.openid import Provider
from uploads.services.sso import provider as ours


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_provider_that_is_down_is_reported_and_tried_again(visitor: Visitor, openid: Provider) -> None:
    openid.stop()
    try:
        assert "Sign in with Example ID" in text_of(Client().get("/login/")), "no page asks the provider"
        response = visitor.client.get(f"{START}?next=/transfers/")
        assert response.status_code == 503
        assert f"The sign-in service at {openid.issuer} does not respond" in text_of(response)
        assert 'href="/login/sso/?next=%2Ftransfers%2F"' in text_of(response)
        assert "Sign in with a password" in text_of(response)
    finally:
        openid.start()
    assert visitor.sign_in().status_code == 302


def test_provider_that_goes_down_in_the_middle_is_reported(visitor: Visitor, openid: Provider) -> None:
    back = openid.sign_in(visitor.leave(), visitor.subject)
    openid.stop()
    try:
        assert visitor.come_back(back).status_code == 503
    finally:
        openid.start()


def test_wait_for_a_frozen_provider_is_bounded(visitor: Visitor, openid: Provider, settings: Settings) -> None:
    settings.OIDC_SECONDS = 0.3
    openid.freeze()
    try:
        assert visitor.client.get(START).status_code == 503
    finally:
        openid.thaw()


@contextmanager
def pretending(respond: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that is no provider."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def sends(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return respond


def drips(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then: each read succeeds."""
    request.send_response(200)
    request.end_headers()
    stop = threading.Event()
    try:
        while not stop.wait(0.05):
            request.wfile.write(b" ")
            request.wfile.flush()
    except OSError:
        return


@pytest.mark.parametrize(
    ("respond", "status"),
    [
        (drips, 503),
        (sends(b"{" * 2_000_000), 503),
        (sends(b"<html>a page</html>"), 503),
        (sends(b"", 302, Location="http://127.0.0.1:1/"), 503),
        (sends(b"{}", 500), 503),
        (sends(b"[]"), 403),
        (sends(b'{"issuer": "https://another.example"}'), 403),
        (sends(b"null"), 403),
    ],
)
def test_what_is_no_provider_is_refused(
    settings: Settings, respond: Callable[[BaseHTTPRequestHandler], None], status: int
) -> None:
    settings.OIDC_SECONDS = 0.5 if respond is drips else 20
    with pretending(respond) as issuer:
        settings.OIDC_ISSUER = issuer
        assert Client().get(START).status_code == status


def test_few_threads_wait_for_the_provider(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_slots", threading.BoundedSemaphore(1))
    with ours._slots:
        response = visitor.client.get(START)
    assert response.status_code == 503
    assert "Many people are signing in" in text_of(response)
    assert visitor.client.get(START).status_code == 302


def test_password_works_without_the_provider(openid: Provider) -> None:
    User.objects.create_user("local", password="the password of local")
    openid.freeze()
    try:
        client = Client()
        assert client.post("/login/", {"username": "local", "password": "the password of local"}).status_code == 302
    finally:
        openid.thaw()
