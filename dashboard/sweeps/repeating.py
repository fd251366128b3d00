"""The pages of sweeps that repeat: the list, changing a rule, and approving, enabling and disabling one."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.inventory.query import filter_in
from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from dashboard.shared.messages.scans import WEEKDAYS
from dashboard.shared.messages.sweeps import rule_words
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import explains_failures, same_address, see_other
from dashboard.sweeps.form import clock, context_of, posted, repetition_in
from uploads import access
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.sweeps import needs_other_person
from uploads.models import RepeatingSweep, Sweep
from uploads.problems import ProblemError
from uploads.selectors.sweeps import open_plans_of
from uploads.services.sweeps.plan import RuleRefused
from uploads.services.sweeps.repeat import (
    approve_repeating,
    change_repeating,
    disable_repeating,
    enable_repeating,
    has_other_rule,
    version_of,
)
from uploads.services.sweeps.steps import StepRefused

STEPS = ("approve", "enable", "disable")


@require_safe
def repeating_sweeps(request: HttpRequest) -> HttpResponseBase:
    rows = list(access.repeating_sweeps_to_see(request.user))
    plans = open_plans_of(request.user, rows)
    if wants_json(request):
        return JsonResponse({"repeating": [_json(each, plans.get(each.pk, [])) for each in rows]})
    actor_id = access.actor(request.user).pk
    shown = [_shown(each, plans.get(each.pk, []), actor_id) for each in rows]
    return same_address(render(request, "sweeps/repeating.html", {"rows": shown}))


def _shown(each: RepeatingSweep, plans: list[Sweep], actor_id: int) -> dict[str, Any]:
    required = settings.SWEEP_SECOND_PERSON
    return {
        "repeating": each,
        "version": version_of(each),
        "words": rule_words(each.rule),
        "at": clock(each.minute),
        "weekday": WEEKDAYS[each.weekday] if each.schedule == "weekly" else "",
        "is_other_needed": needs_other_person(each.author_id, actor_id, required=required),
        "plans": [(plan, has_other_rule(plan)) for plan in plans],
    }


def _json(each: RepeatingSweep, plans: list[Sweep]) -> dict[str, Any]:
    return {
        "id": str(each.pk),
        "version": version_of(each),
        "rule": each.rule,
        "schedule": each.schedule,
        "time": clock(each.minute),
        "weekday": each.weekday,
        "author": each.author.get_username(),
        "approver": each.approver.get_username() if each.approver else None,
        "max_uploads": each.max_uploads,
        "max_bytes": each.max_bytes,
        "next": each.next_at.isoformat() if each.next_at else None,
        "plans": [{"id": str(plan.pk), "has_other_rule": has_other_rule(plan)} for plan in plans],
    }


@require_POST
@explains_failures
def step_of_repeating(request: HttpRequest, repeating_id: uuid.UUID) -> HttpResponseBase:
    """`step`: `approve` with the `seen` version, `enable`, or `disable`."""
    found, step = access.repeating_sweep_to_change(request.user, repeating_id), request.POST.get("step", "")
    if step not in STEPS:
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": "step", "values": ", ".join(STEPS)})
    actor = access.actor(request.user)
    try:
        if step == "approve":
            approve_repeating(actor, found, seen=request.POST.get("seen", ""))
        else:
            {"enable": enable_repeating, "disable": disable_repeating}[step](actor, found)
    except StepRefused as refused:
        return _conflict(request, refused, reverse("repeating-sweeps"))
    return see_other(reverse("repeating-sweeps"))


@require_http_methods(["GET", "POST"])
@explains_failures
def edit_repeating(request: HttpRequest, repeating_id: uuid.UUID) -> HttpResponseBase:
    """The form of a new sweep, filled with the rule. POST saves it, if the rule still has the version `seen`."""
    found = access.repeating_sweep_to_edit(request.user, repeating_id)
    if request.method != "POST":
        return _form(request, found, InventoryFilter.from_json(found.rule))
    query = posted(request)
    rule, repetition = filter_in(query), repetition_in(query)
    if rule.store:
        access.store_to_list(request.user, rule.store, rule.bucket)
    try:
        change_repeating(access.actor(request.user), found, rule, repetition, seen=request.POST.get("seen", ""))
    except RuleRefused as refused:
        if wants_json(request):
            return json_error(refused.problem.code, text_of(refused.problem), status=400)
        context = context_of(request, rule, repetition=repetition, problem=refused.problem)
        return render(request, "sweeps/edit.html", context | _about(found, request.POST.get("seen", "")), status=400)
    except StepRefused as refused:
        return _conflict(request, refused, reverse("edit-repeating-sweep", args=[found.pk]))
    if wants_json(request):
        found = access.repeating_sweep_to_edit(request.user, repeating_id)
        return JsonResponse(_json(found, open_plans_of(request.user, [found]).get(found.pk, [])))
    messages.success(request, _("The repeating sweep was saved. Its next plan has the new values."))
    return see_other(reverse("repeating-sweeps"))


def _form(request: HttpRequest, found: RepeatingSweep, rule: InventoryFilter) -> HttpResponseBase:
    context = context_of(request, rule, repetition=found) | _about(found, version_of(found))
    return same_address(render(request, "sweeps/edit.html", context))


def _about(found: RepeatingSweep, seen: str) -> dict[str, Any]:
    return {"repeating": found, "seen": seen}


def _conflict(request: HttpRequest, refused: ProblemError, back: str) -> HttpResponseBase:
    text = text_of(refused.problem)
    if wants_json(request):
        return json_error(refused.problem.code, text, status=409)
    return refuse(request, 409, _("Nothing was changed"), text, code=refused.problem.code, back=back)
