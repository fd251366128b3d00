"""How much is staged on this machine, and by which operators and transfers."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.shared.jsonapi import wants_json
from dashboard.shared.responses import is_fragment, same_address
from dashboard.staging.serializers import staging_json
from dashboard.transfers.rows import rows_of
from uploads import access
from uploads.services.staging.usage import staging_use


@require_safe
def staging(request: HttpRequest) -> HttpResponse:
    """The staging of this node: reserved bytes, quota and free space, by operator and by transfer."""
    access.require_staging(request.user)
    use = staging_use(settings.NODE_NAME)
    if wants_json(request):
        return same_address(JsonResponse(staging_json(use)))
    rows = rows_of([transfer for transfer, _ in use.transfers])
    staged = [(row, reserved_bytes) for row, (_, reserved_bytes) in zip(rows, use.transfers, strict=True)]
    template = "staging/_live.html" if is_fragment(request) else "staging/staging.html"
    return same_address(render(request, template, {"use": use, "staged": staged}))
