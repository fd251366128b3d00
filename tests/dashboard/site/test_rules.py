"""What the web server knows of the site: how large the bodies of requests may be, at every URL."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from dashboard.shared.body_limits import LARGE_FORM, SMALL_BODY
from dashboard.site.rules import rules_of_site

EXCEPTIONS: dict[str, int | None] = {
    "transfers/new/": None,
    "files/": None,
    "files/together/": None,
    "files/<uuid:transfer_id>": None,
    "stores/<store:store>/<bucket:bucket>/uploads/abort/": LARGE_FORM,
    "stores/<store:store>/<bucket:bucket>/uploads/facts/": LARGE_FORM,
}
"""All other bodies are small."""


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


def path_of(route: str) -> str:
    return "/" + re.sub(r"<uuid:\w+>", str(uuid.uuid4()), re.sub(r"<(?!uuid)[^>]+>", "something", route))


@pytest.mark.parametrize("sub_path", ["", "/partway"])
def test_only_files_have_no_limit(sub_path: str, settings: Settings) -> None:
    settings.SUB_PATH = sub_path
    limit_of = rules_of_site().body_limit
    found = {route: limit_of((sub_path + path_of(route)).encode()) for route in routes(get_resolver())}
    assert {route: limit for route, limit in found.items() if limit != SMALL_BODY} == EXCEPTIONS
    assert limit_of(f"{sub_path}/files".encode()) is None
    assert limit_of(b"/nowhere") == limit_of(b"/\xff") == limit_of(b"") == SMALL_BODY


def test_monitoring_has_threads_of_its_own(settings: Settings) -> None:
    settings.SUB_PATH = "/partway"
    rules = rules_of_site()
    assert rules.health == {b"/healthz", b"/partway/healthz"}
    assert rules.monitoring == rules.health | {b"/metrics", b"/partway/metrics"}


def test_file_in_another_form_is_refused_without_reading_it(client: Client) -> None:
    """Django would store it on the disk. Also with a web server that does not know the limits."""
    file = SimpleUploadedFile("file.bin", bytes(SMALL_BODY))
    response = client.post("/login/", {"file": file}, headers={"Accept": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "TooLarge"
    assert "1,048,576" in response.json()["error"]["message"]
