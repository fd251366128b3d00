"""How much is staged on this machine, and by whom: for administrators."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.shared.jsonapi import wants_json
from dashboard.transfers.pages import same_address
from dashboard.transfers.rows import rows_of
from uploads import access
from uploads.services.staging.usage import staging_use


@require_safe
def staging(request: HttpRequest) -> HttpResponse:
    """Staging of this node: what is held, the quota, what the disk has free; by operator and by transfer."""
    access.require_staging(request.user)
    use = staging_use(settings.NODE_NAME)
    if wants_json(request):
        facts = {
            "node": use.node,
            "held": use.reserved_bytes,
            "quota": use.quota,
            "free_room": max(0, use.free_bytes),
            "operators": [
                {"operator": each.owner, "held": each.reserved_bytes, "transfers": each.transfers}
                for each in use.owners
            ],
        }
        return same_address(JsonResponse(facts))
    holders = rows_of([transfer for transfer, _ in use.transfers])
    context = {
        "use": use,
        "holders": [(row, held) for row, (_, held) in zip(holders, use.transfers, strict=True)],
    }
    return same_address(render(request, "staging/staging.html", context))
