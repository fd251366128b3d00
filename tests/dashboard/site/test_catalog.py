"""The texts of scripts: one address per language and content, open, and kept by browsers."""

from __future__ import annotations

import re

from django.test import Client


def _catalog_url(client: Client) -> str:
    match = re.search(r'<script src="(/catalog/[^"]+)" defer>', client.get("/login/").content.decode())
    assert match
    return match[1]


def test_catalog_is_open_and_cached(client: Client) -> None:
    response = client.get(_catalog_url(client))
    assert response.status_code == 200
    assert response["Content-Type"] == "text/javascript; charset=utf-8"
    assert "immutable" in response["Cache-Control"]
    for name in ("gettext", "ngettext", "interpolate", "get_format"):
        assert f"globals.{name} = django.{name}" in response.content.decode()


def test_catalog_of_another_version_is_not_cached(client: Client) -> None:
    assert not client.get("/catalog/en/000000000000.js").has_header("Cache-Control")


def test_catalog_of_unknown_language_is_not_found(client: Client) -> None:
    assert client.get("/catalog/xx/000000000000.js").status_code == 404


def test_page_names_its_language(client: Client) -> None:
    assert re.search(r'<html\s+lang="en"', client.get("/login/").content.decode())
