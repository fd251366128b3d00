"""For monitoring: whether the site is alive, whether it is ready, and its metrics."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.shared.jsonapi import wants_json
from dashboard.shared.unprepared import STATIC
from uploads.services.upkeep.health import readiness
from uploads.services.upkeep.metrics import exposition


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """That the web server is alive; with `?ready`, whether this node is ready. Public, so names of checks only."""
    if "ready" not in request.GET:
        return HttpResponse("ok", content_type="text/plain")
    checks = {name: "ok" if passed else "failed" for name, passed in readiness(STATIC).items()}
    ready = "failed" not in checks.values()
    status = 200 if ready else 503
    if wants_json(request):
        return JsonResponse({"ready": ready, "checks": checks}, status=status)
    lines = "".join(f"{name} {result}\n" for name, result in checks.items())
    return HttpResponse(lines, content_type="text/plain", status=status)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus, with the token. Addresses prove nothing: a proxy on this machine forwards requests of others."""
    if not _has_token(request):
        refusal = _("The metrics can be read with the token of the setting METRICS_TOKEN.")
        return HttpResponse(f"{refusal}\n", "text/plain", 403)
    text, content_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=content_type)


@never_cache
@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    """The banner that reports that the task queue is unavailable; empty if it is available."""
    return render(request, "components/queue_unavailable.html")


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    expected = settings.METRICS_TOKEN
    is_equal = hmac.compare_digest(token.strip().encode(), expected.encode())
    return bool(expected) and scheme.lower() == "bearer" and is_equal
