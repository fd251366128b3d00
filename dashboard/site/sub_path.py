"""The site below a path of its host, such as /partway (SUB_PATH), behind a proxy that keeps the path or removes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

_SUB_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_OUR_NAMES = {
    *("account", "alerts", "audit", "catalog", "checks", "files", "first-steps", "guide", "healthz", "inventory"),
    *("invitation", "lifecycle", "lists", "login", "logout", "metrics", "operations", "queue", "search", "staging"),
    *("static", "stores", "sweeps", "tokens", "transfers", "users"),
}
"""The first segments of the site's own paths. A test compares them with the URLs."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def checked(path: str) -> str:
    """The value of SUB_PATH. Raises ImproperlyConfigured unless it is empty or the path of one place on a host."""
    if not _SUB_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ImproperlyConfigured(
            f"SUB_PATH={path} is not possible. Use a path such as /partway: it starts with one slash, does not end "
            "with one, and has only letters, digits and . _ ~ -"
        )
    if path and path.split("/")[1] in _OUR_NAMES:
        raise ImproperlyConfigured(
            f"SUB_PATH={path} starts like a page of Partway. Use another path, such as /partway."
        )
    return path


def inner_path(requested: str, sub_path: str) -> str:
    """The path of a page within the site. A proxy may have removed SUB_PATH."""
    if sub_path and requested.startswith(f"{sub_path}/"):
        return requested.removeprefix(sub_path)
    return requested


class SubPath:
    """A WSGI application below a path.

    A request whose path lacks it comes from a proxy that removes it, or directly, such as from monitoring. It gets the
    same page, and all URLs in the page have the path.
    """

    def __init__(self, application: Application, path: str) -> None:
        self._application = application
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        requested: str = environ.get("PATH_INFO", "")
        if self._path and requested == self._path:
            return self._to_overview(environ, start_response)
        environ["PATH_INFO"] = inner_path(requested, self._path)
        environ["SCRIPT_NAME"] = self._path
        return self._application(environ, start_response)

    def _to_overview(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        location = quote(f"{self._path}/") + (f"?{query}" if query else "")
        start_response("308 Permanent Redirect", [("Location", location), ("Content-Length", "0")])
        return []
