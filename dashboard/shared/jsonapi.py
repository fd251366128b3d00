"""Responses to clients that request JSON: the same facts as the pages, under the names of the S3 API."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest, JsonResponse

from dashboard.shared.explain import explain
from dashboard.shared.messages import error_code, store_error_text
from uploads.objectstore.errors import ObjectStoreError


def wants_json(request: HttpRequest) -> bool:
    """Whether the client prefers JSON to a page. Browsers accept anything and get the page."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def json_error(code: str, message: str, *, status: int, request_id: str = "") -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message, "request_id": request_id}}, status=status)


def store_error(error: ObjectStoreError) -> JsonResponse:
    """A store's failure, with the store's code and request id."""
    explained = explain(error)
    return json_error(
        error_code(error), store_error_text(error), status=explained.http_status, request_id=explained.request_id
    )


def iso(at: datetime | None) -> str | None:
    """A time as the S3 API writes it: 2026-01-31T12:00:00.000Z."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
