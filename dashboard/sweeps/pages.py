"""The pages of a sweep: one sweep with its plan, run and proof, and the steps that a user requests."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import explains_failures, is_fragment, same_address, see_other
from dashboard.sweeps.context import context_of
from dashboard.sweeps.export import FORMATS, export
from dashboard.sweeps.serializers import detail_json, sweep_json
from uploads import access
from uploads.models import Sweep
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sweeps.steps import (
    StepRefused,
    approve_sweep,
    cancel_sweep,
    pause_sweep,
    resume_sweep,
    run_sweep,
)


@require_safe
@explains_failures
def sweep(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponseBase:
    """The plan, the run and the proof. `format`: all uploads of the plan as a file."""
    found = access.sweep_to_see(request.user, sweep_id)
    form = Query(request).text("format")
    if form:
        if form not in FORMATS:
            raise BadParameter(
                _("“%(name)s” must be one of %(values)s.") % {"name": "format", "values": ", ".join(FORMATS)}
            )
        return export(request.user, found, form)
    if wants_json(request):
        return same_address(JsonResponse(detail_json(request.user, found)))
    template = "sweeps/status.html" if is_fragment(request) else "sweeps/sweep.html"
    return same_address(render(request, template, context_of(request, found)))


def created(request: HttpRequest, found: Sweep) -> HttpResponseBase:
    """The response to a request that has begun a plan."""
    url = reverse("sweep", args=[found.pk])
    if not wants_json(request):
        return see_other(url)
    return JsonResponse(sweep_json(found), status=202, headers={"Location": url})


@require_POST
def approve(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponseBase:
    """`digest` is that of the plan that the page shows."""
    digest = request.POST.get("digest", "")
    return _step(request, sweep_id, lambda actor, found: approve_sweep(actor, found, digest))


@require_POST
def run(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponseBase:
    """`confirm=on`: nothing is aborted without it."""

    def confirmed(actor: User, found: Sweep) -> None:
        if request.POST.get("confirm") != "on":
            raise StepRefused(Problem(Code.SWEEP_UNCONFIRMED))
        run_sweep(actor, found)

    return _step(request, sweep_id, confirmed)


@require_POST
def pause(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponseBase:
    return _step(request, sweep_id, pause_sweep)


@require_POST
def resume(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponseBase:
    return _step(request, sweep_id, resume_sweep)


@require_POST
def cancel(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponseBase:
    found = access.sweep_to_cancel(request.user, sweep_id)
    return _do(request, found, cancel_sweep)


def _step(request: HttpRequest, sweep_id: uuid.UUID, act: Callable[[User, Sweep], None]) -> HttpResponseBase:
    return _do(request, access.sweep_to_approve(request.user, sweep_id), act)


def _do(request: HttpRequest, found: Sweep, act: Callable[[User, Sweep], None]) -> HttpResponseBase:
    try:
        act(access.actor(request.user), found)
    except StepRefused as refused:
        return _conflict(request, found, refused)
    if wants_json(request):
        return JsonResponse(sweep_json(access.sweep_to_see(request.user, found.pk)))
    return see_other(reverse("sweep", args=[found.pk]))


def _conflict(request: HttpRequest, found: Sweep, refused: ProblemError) -> HttpResponseBase:
    text = text_of(refused.problem)
    if wants_json(request):
        return json_error(refused.problem.code, text, status=409)
    back = reverse("sweep", args=[found.pk])
    return refuse(request, 409, _("Nothing was changed"), text, code=refused.problem.code, back=back)
