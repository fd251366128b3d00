"""Variables that every template has."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from dashboard.site.catalog import catalog_url
from uploads.services.sso import configuration
from uploads.services.upkeep.health import queue_is_unavailable


def queue(_request: HttpRequest) -> dict[str, Any]:
    """`queue_is_unavailable` is a function: only templates that use it query the health of the queue."""
    return {"queue_is_unavailable": queue_is_unavailable}


def catalog(_request: HttpRequest) -> dict[str, Any]:
    """`catalog_url` is the address of the texts of scripts."""
    return {"catalog_url": catalog_url}


def cookies(_request: HttpRequest) -> dict[str, Any]:
    """`csrf_cookie_name` is the cookie that scripts read the CSRF token from."""
    return {"csrf_cookie_name": settings.CSRF_COOKIE_NAME}


def sign_on(_request: HttpRequest) -> dict[str, Any]:
    """`sign_on` is what the pages for signing in and out say about the provider, which none of them asks."""
    return {
        "sign_on": {
            "is_enabled": configuration.is_enabled(),
            "name": settings.OIDC_NAME,
            "accepts_passwords": configuration.accepts_passwords(),
            "opens_form": not settings.OIDC_ONLY,
        }
    }
