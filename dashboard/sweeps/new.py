"""The form of a new sweep: the filter of the inventory, from the query or the body of a request.

A selection of uploads is a filter too: by their ids. The inventory's page posts it with `ask`, which makes no plan.
"""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.inventory.query import REPEATABLE, filter_in
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from dashboard.shared.messages.sweeps import RULE_VERDICTS
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import explains_failures, see_other
from dashboard.sweeps.form import context_of, posted, repetition_in
from dashboard.sweeps.pages import created
from uploads import access
from uploads.domain.inventory_filter import InventoryFilter
from uploads.problems import Problem, ProblemError
from uploads.selectors.sweeps import verdicts_among
from uploads.services.sweeps.plan import RuleRefused, request_sweep
from uploads.services.sweeps.repeat import add_repeating


@require_http_methods(["GET", "HEAD", "POST"])
@explains_failures
def new_sweep(request: HttpRequest) -> HttpResponseBase:
    """GET shows the form with the filter of the query. POST has the plan made, or adds a schedule with `repeat`.

    POST with `ask` shows the form of the selected uploads.
    """
    actor = access.actor_to_plan_sweeps(request.user)
    if request.method != "POST":
        return _form(request, filter_in(Query(request, repeatable=REPEATABLE)))
    query = posted(request)
    rule = filter_in(query)
    if request.POST.get("ask"):
        return _ask(request, rule)
    if rule.store:
        access.store_to_list(request.user, rule.store, rule.bucket)
    try:
        if query.text("repeat"):
            add_repeating(actor, rule, repetition_in(query))
            return see_other(reverse("repeating-sweeps"))
        return created(request, request_sweep(actor, rule))
    except RuleRefused as refused:
        return _refused(request, rule, refused)


def _ask(request: HttpRequest, rule: InventoryFilter) -> HttpResponseBase:
    """The form for the selected uploads, with the verdicts that they have: nothing else is in the plan."""
    if not rule.ids:
        raise BadParameter(_("Select at least one upload, and plan the sweep again."))
    found = verdicts_among(request.user, rule)
    return _form(request, replace(rule, verdicts=tuple(each for each in RULE_VERDICTS if each in found)))


def _refused(request: HttpRequest, rule: InventoryFilter, refused: ProblemError) -> HttpResponseBase:
    text = text_of(refused.problem)
    if wants_json(request):
        return json_error(refused.problem.code, text, status=400)
    return _form(request, rule, problem=refused.problem, status=400)


def _form(
    request: HttpRequest, rule: InventoryFilter, *, problem: Problem | None = None, status: int = 200
) -> HttpResponseBase:
    return render(request, "sweeps/new.html", context_of(request, rule, problem=problem), status=status)
