"""What machines ask: whether the site lives, whether it can work, and what it counts."""

from __future__ import annotations

import hmac
import ipaddress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.shared.jsonapi import wants_json
from uploads.services.upkeep.health import readiness
from uploads.services.upkeep.metrics import exposition

FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")
"""Headers of a proxy: behind one, the address of the connection says nothing of who asks."""


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The web server answers; with `?ready`, whether this node can work. Names only: strangers may ask."""
    if "ready" not in request.GET:
        return HttpResponse("ok", content_type="text/plain")
    checks = {name: "ok" if passed else "failed" for name, passed in readiness().items()}
    ready = "failed" not in checks.values()
    status = 200 if ready else 503
    if wants_json(request):
        return JsonResponse({"ready": ready, "checks": checks}, status=status)
    lines = "".join(f"{name} {said}\n" for name, said in checks.items())
    return HttpResponse(lines, content_type="text/plain", status=status)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus: from this machine itself, or with the token."""
    if not (_has_token(request) or _is_local(request)):
        return HttpResponse("The metrics are for this machine, or for who has the token.\n", "text/plain", 403)
    text, content_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=content_type)


@never_cache
@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    """The banner that says that the queue is away; nothing once it is back."""
    return render(request, "components/queue_away.html")


def _has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    is_it = hmac.compare_digest(given.strip().encode(), wanted.encode())
    return bool(wanted) and scheme.lower() == "bearer" and is_it


def _is_local(request: HttpRequest) -> bool:
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
