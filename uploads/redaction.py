"""Taking secrets out of texts that people read: log lines and the tracebacks of DEBUG.

Nothing writes secrets there on purpose. Exceptions of other packages do: psycopg, redis and kombu put URLs into their
messages, and a traceback shows the variables of every function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings

HIDDEN = "********"

SHORTEST = 6
"""Shorter values are not searched for: they occur in other words."""

_USERINFO = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/?#@:'\"<>]*):(?P<password>[^\s/?#@'\"<>]+)@", re.IGNORECASE
)
_DSN = re.compile(r"(?P<name>\bpassword\s*=\s*)(?P<password>'(?:[^'\\]|\\.)*'|[^\s'\"&,;)]+)", re.IGNORECASE)


_hidden: ContextVar[tuple[str, ...]] = ContextVar("hidden", default=())


@contextmanager
def hiding(secret: str) -> Iterator[None]:
    """Texts that are written inside do not have this secret: packages log the addresses of their requests."""
    token = _hidden.set((*_hidden.get(), secret))
    try:
        yield
    finally:
        _hidden.reset(token)


def redact(text: str) -> str:
    """The text without passwords in URLs and connection strings, and without secrets of settings and of `hiding`."""
    text = _USERINFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    text = _DSN.sub(rf"\g<name>{HIDDEN}", text)
    for secrets in (tuple(_secrets()), _hidden.get()):
        pattern = _pattern(secrets)
        text = pattern.sub(HIDDEN, text) if pattern else text
    return text


def _secrets() -> Iterator[str]:
    yield settings.SECRET_KEY
    yield from settings.CREDENTIALS_KEYS
    yield from (getattr(settings, name, "") or "" for name in ("METRICS_TOKEN", "EMAIL_HOST_PASSWORD"))
    yield getattr(settings, "OIDC_CLIENT_SECRET", "") or ""
    yield from (str(each.get("PASSWORD") or "") for each in settings.DATABASES.values())
    yield unquote(urlsplit(settings.REDIS_URL).password or "")


@lru_cache(maxsize=4)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None


def _forms(secret: str) -> set[str]:
    """The secret as it is, in HTML, in a URL, in JSON and in a repr."""
    return {secret, escape(secret), quote(secret, safe=""), repr(secret)[1:-1], escape(repr(secret)[1:-1])}


def hide_values(value: Any) -> Any:
    """A setting or a variable with redacted texts, at any depth."""
    match value:
        case str():
            return redact(str(value))
        case dict():
            return {name: hide_values(each) for name, each in value.items()}
        case list() | tuple():
            return type(value)(hide_values(each) for each in value) if type(value) in (list, tuple) else value
    return value
