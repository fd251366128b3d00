"""SUB_PATH: which values are allowed, and which requests reach the site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from dashboard.site.sub_path import _OUR_NAMES, SubPath, checked


@pytest.mark.parametrize("path", ["", "/partway", "/tools/partway", "/a-b_c.d~1", "/my/stores"])
def test_path_with_one_slash_at_the_start_is_allowed(path: str) -> None:
    assert checked(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "partway",
            "/partway/",
            "//partway",
            "/a//b",
            "/part way",
            "/..",
            "/a/../b",
            "/a/.",
            "/a?b",
            "/a#b",
            "/ä",
        ),
        *("/%41", "https://example.org/partway", "/partway\n", "/a;b"),
    ],
)
def test_other_value_is_refused(path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="it starts with one slash"):
        checked(path)


@pytest.mark.parametrize("path", ["/stores", "/static/partway", "/login"])
def test_path_that_starts_like_a_page_is_refused(path: str) -> None:
    """Otherwise a path from a proxy that removes it could mean two pages."""
    with pytest.raises(ImproperlyConfigured, match="starts like a page"):
        checked(path)


def test_names_are_those_of_the_urls() -> None:
    routes = [str(each.pattern) for each in get_resolver().url_patterns]
    names = {route.partition("/")[0] for route in routes if route} | {settings.STATIC_URL.strip("/")}
    assert names == _OUR_NAMES


# --- Requests ---------------------------------------------------------------------------------------------------------


class Site:
    """Records what arrives at the application below a path."""

    def __init__(self, path: str) -> None:
        self.asked: list[tuple[str, str]] = []
        self.response: tuple[str, dict[str, str]] | None = None
        self._application = SubPath(self._call, path)

    def get(self, path: str, query: str = "") -> None:
        environ = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": query}
        self._application(environ, self._start)

    def _call(self, environ: dict[str, Any], _start: object) -> Iterable[bytes]:
        self.asked.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        return []

    def _start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.response = status, dict(headers)


@pytest.mark.parametrize(
    ("requested", "path"),
    [
        ("/tools/partway/", "/"),
        ("/tools/partway/stores/", "/stores/"),
        ("/tools/partway/healthz", "/healthz"),
        # A proxy that removes the path, or monitoring without a proxy.
        ("/", "/"),
        ("/stores/", "/stores/"),
        ("/healthz", "/healthz"),
        ("/tools/partway-2/", "/tools/partway-2/"),
        # The path is removed once.
        ("/tools/partway/tools/partway/", "/tools/partway/"),
    ],
)
def test_path_is_removed_once(requested: str, path: str) -> None:
    site = Site("/tools/partway")
    site.get(requested)
    assert site.asked == [("/tools/partway", path)]


def test_path_without_its_slash_leads_to_the_overview() -> None:
    site = Site("/tools/partway")
    site.get("/tools/partway", "a=b")
    assert site.asked == []
    assert site.response == (
        "308 Permanent Redirect",
        {"Location": "/tools/partway/?a=b", "Content-Length": "0"},
    )


def test_without_a_path_nothing_changes() -> None:
    site = Site("")
    site.get("/partway/stores/")
    assert site.asked == [("", "/partway/stores/")]
