"""Responses to clients that request JSON: the same facts as the pages, under the names of the S3 API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from dashboard.shared.access_tokens import bearer_of
from dashboard.shared.explain import explain
from dashboard.shared.messages import error_code, error_json, store_error_text
from uploads.domain.cost import Costs
from uploads.objectstore.errors import ObjectStoreError
from uploads.services.stores.silence import NotAnswering

Response = TypeVar("Response", bound=HttpResponseBase)


def wants_json(request: HttpRequest) -> bool:
    """Whether the client prefers JSON to a page. Browsers accept anything and get the page, tokens get JSON."""
    return (
        bearer_of(request) is not None
        or request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    )


def json_error(
    code: str, message: str, *, status: int, request_id: str = "", more: Mapping[str, Any] | None = None
) -> JsonResponse:
    error = {"code": code, "message": message, "request_id": request_id, **(more or {})}
    return with_code(JsonResponse({"error": error}, status=status), code)


def with_code(response: Response, code: str) -> Response:
    """The response, with the code of its error as an attribute, for the audit log."""
    response.code = code  # type: ignore[attr-defined]
    return response


def store_error(error: ObjectStoreError) -> JsonResponse:
    """A store's failure, with the store's code and request id."""
    explained = explain(error)
    response = json_error(
        error_code(error),
        store_error_text(error),
        status=explained.http_status,
        request_id=explained.request_id,
        more=_silence(error) if isinstance(error, NotAnswering) else None,
    )
    return with_retry_after(response, explained.retry_after)


def _silence(error: NotAnswering) -> dict[str, Any]:
    return {"since": iso(error.since), "last_error": error_json(error.last_error)}


def with_retry_after(response: Response, seconds: int | None) -> Response:
    """The response, with the header Retry-After if it is known when another attempt makes sense."""
    if seconds is not None:
        response["Retry-After"] = str(seconds)
    return response


def costs(cost: Costs) -> list[dict[str, str]]:
    """The amounts of a cost in a month, one for each currency."""
    return [{"amount": f"{each.amount:.6f}", "currency": each.currency} for each in cost.amounts]


def iso(at: datetime | None) -> str | None:
    """A time as the S3 API writes it: 2026-01-31T12:00:00.000Z."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
