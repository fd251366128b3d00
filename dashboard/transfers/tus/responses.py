"""Responses of `/files/`: errors as JSON, and the progress of an upload in headers."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpResponse, JsonResponse
from django.utils.http import http_date

from dashboard.shared.messages import error_text, text_of
from dashboard.transfers.serializers import fields_error_json, message_json
from uploads.models import Transfer
from uploads.problems import Code, Problem
from uploads.staging.tus import TusError


def error_response(error: TusError) -> HttpResponse:
    body = {"error": message_json(error.code, _text(error))}
    return JsonResponse(body, status=error.status, headers=error.headers)


def _text(error: TusError) -> str:
    return error.text if isinstance(error, UploadEnded) else text_of(error.problem)


def fields_response(
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, str],
    more: Mapping[str, object] | None = None,
    *,
    request_id: str = "",
) -> HttpResponse:
    """An error of one or more fields of Upload-Metadata, with `more` facts, and the id of the store's response."""
    return JsonResponse({**fields_error_json(code, message, fields, request_id), **(more or {})}, status=status)


class UploadEnded(TusError):
    """410: the upload was cancelled or has expired. The recorded error says why."""

    def __init__(self, transfer: Transfer) -> None:
        problem = Problem(Code.TRANSFER_CANCELLED)
        super().__init__(410, problem, code=transfer.error_code)
        self.text = error_text(transfer.error) if transfer.error else text_of(problem)


def with_progress(response: HttpResponse, transfer: Transfer, offset: int) -> HttpResponse:
    response["Upload-Offset"] = str(offset)
    response["Upload-Length"] = str(transfer.size)
    if offset < transfer.size:
        for name, value in expiry_headers(transfer).items():
            response[name] = value
    return response


def expiry_headers(transfer: Transfer) -> dict[str, str]:
    """When the staged bytes are removed if nothing more arrives: in every response to PATCH, errors too."""
    expires_at = transfer.expires_at
    return {"Upload-Expires": http_date(expires_at.timestamp())} if expires_at else {}
