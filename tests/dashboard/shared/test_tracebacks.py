"""Tracebacks of DEBUG and log lines contain no secrets."""

from __future__ import annotations

import json
import logging
import sys

import psycopg
import pytest
import redis
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class, technical_500_response
from pytest_django import Settings

from uploads.logs import JsonLines, Lines
from uploads.redaction import HIDDEN, redact

SECRETS = ("the-secret-key", "the-key-of-keys", "p@ss/word'&<1", "redis-pass-word", "the-metrics-token")
BY_NAME, TYPED = "-".join(["hidden", "by", "name"]), "-".join(["typed", "into", "a", "form"])
"""Not literally in the lines of code that a traceback shows."""

REDIS = "redis://:redis-pass-word@127.0.0.1:6379/0"


@pytest.fixture(autouse=True)
def secret_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    settings.SECRET_KEY, key, password, _, settings.METRICS_TOKEN = SECRETS
    settings.CREDENTIALS_KEYS = [key]
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", password)
    settings.REDIS_URL = settings.CELERY_BROKER_URL = REDIS


def fail(database_url: str, secret_key: str) -> None:
    url = f"rediss://user:another-password@host/0?{len(database_url)}"
    nested = {"password": BY_NAME, "urls": [REDIS, (url, url)]}
    raise RuntimeError(f"no connection to {url} with password='{secret_key}' {nested['urls']}")


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_traceback_of_debug_hides_secrets(accept: str) -> None:
    post = {"secret_key": TYPED, "name": "shown"}
    request = RequestFactory().post("/stores/new/", post, headers={"Accept": accept}, HTTP_COOKIE="partway_session=abc")
    try:
        fail("postgres://partway:p%40ss%2Fword%27%26%3C1@db/partway", "the-secret-key")
    except RuntimeError:
        response = technical_500_response(request, *sys.exc_info())
    page = response.content.decode()
    assert "no connection to rediss://user:" in page
    assert "REDIS_URL" in page
    assert "127.0.0.1:6379/0" in page, "the rest of a URL is shown"
    hidden = (*SECRETS, "another-password", BY_NAME, TYPED, "p%40ss", "p@ss")
    assert [secret for secret in hidden if secret in page] == []
    assert get_exception_reporter_class(request).__module__ == "dashboard.shared.tracebacks"


@pytest.mark.parametrize(
    "text",
    [
        "connection to postgres://partway:secret-one@db:5432/x failed",
        "amqp://user:secret-one@host//",
        "host=db user=partway password=secret-one dbname=x",
        "host=db password='secret-one' dbname=x",
        "sentinel://:secret-one@a:1;sentinel://:secret-one@b:2",
    ],
)
def test_passwords_in_urls_and_connection_strings_are_hidden(text: str) -> None:
    assert "secret-one" not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:9000/a/b", "user@example.org", "https://host/p?x=a:b@c", "http://[::1]:80/", "password:"]
)
def test_other_text_is_unchanged(text: str) -> None:
    assert redact(text) == text


def failures() -> list[Exception]:
    """What the packages themselves raise for a server that is not there."""
    found: list[Exception] = []
    for connect in (
        lambda: psycopg.connect("postgres://partway:p%40ss%2Fword%27%26%3C1@127.0.0.1:1/x?password_=1"),
        lambda: redis.Redis.from_url("redis://:redis-pass-word@127.0.0.1:1/0").ping(),
        lambda: redis.Redis.from_url("wrong://:redis-pass-word@127.0.0.1:1/0"),
    ):
        try:
            connect()
        except Exception as error:
            found.append(error)
    return found


@pytest.mark.parametrize("formatter", [Lines("%(message)s"), JsonLines()])
def test_logs_of_exceptions_hide_secrets(formatter: logging.Formatter) -> None:
    errors = failures()
    assert len(errors) == 3
    for error in [*errors, RuntimeError(f"cannot connect to {REDIS}, key the-key-of-keys")]:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s", (error,), (type(error), error, None))
        line = formatter.format(record)
        assert [secret for secret in SECRETS if secret in line] == []
        if isinstance(formatter, JsonLines):
            json.loads(line)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\x85", "\x1b[2K"])
def test_message_stays_one_line(end: str) -> None:
    """A store's error code with a line end looked like another record."""
    record = logging.LogRecord("name", logging.WARNING, "", 0, "refused: %s", (f"Code{end}ERROR root: é",), None)
    (line,) = Lines("%(levelname)s %(message)s").format(record).splitlines()
    assert line.startswith("WARNING refused: Code\\")
    assert line.endswith("ERROR root: é")
