"""The form of a new sweep: the filter of the inventory, from the query or the body of a request.

A selection of uploads is a filter too: by their ids. The inventory's page posts it with `ask`, which makes no plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.inventory.query import FILTERS, REPEATABLE, duration_text, filter_in, filter_pairs
from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from dashboard.shared.messages.sweeps import RULE_VERDICTS, rule_words
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import explains_failures, see_other
from dashboard.sweeps.pages import created
from uploads import access
from uploads.domain.inventory_filter import InventoryFilter
from uploads.problems import Problem, ProblemError
from uploads.selectors.sweeps import verdicts_among
from uploads.services.sweeps.plan import RuleRefused, request_sweep
from uploads.services.sweeps.repeat import add_repeating

MAX_LIMIT = 2**62
SCHEDULES = ("daily", "weekly")


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
            add_repeating(actor, rule, query.text("repeat"), **_schedule(query))
            return see_other(reverse("repeating-sweeps"))
        return created(request, request_sweep(actor, rule))
    except RuleRefused as refused:
        return _refused(request, rule, refused)


def posted(request: HttpRequest) -> Query:
    """The body of a form, or else the query, read as strictly as a query."""
    names = (*FILTERS, "repeat", "time", "weekday", "max-uploads", "max-total-bytes")
    given = [(name, value) for name in names for value in request.POST.getlist(name) if value]
    reading = HttpRequest()
    reading.META["QUERY_STRING"] = urlencode(given) if given else request.META.get("QUERY_STRING", "")
    return Query(reading, repeatable=REPEATABLE)


def _ask(request: HttpRequest, rule: InventoryFilter) -> HttpResponseBase:
    """The form for the selected uploads, with the verdicts that they have: nothing else is in the plan."""
    if not rule.ids:
        raise BadParameter(_("Select at least one upload, and plan the sweep again."))
    found = verdicts_among(request.user, rule)
    return _form(request, replace(rule, verdicts=tuple(each for each in RULE_VERDICTS if each in found)))


def _schedule(query: Query) -> dict[str, int]:
    if query.text("repeat") not in SCHEDULES:
        raise BadParameter(
            _("“%(name)s” must be one of %(values)s.") % {"name": "repeat", "values": ", ".join(SCHEDULES)}
        )
    hour, _colon, minute = (query.text("time") or "04:00").partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise BadParameter(_("“time” must be a time of the day in UTC, such as 04:00."))
    return {
        "minute": int(hour) * 60 + int(minute),
        "weekday": query.number("weekday", 6, 0, 6),
        "max_uploads": query.number("max-uploads", 1000, 0, 999_999_999),
        "max_bytes": _bytes(query.text("max-total-bytes") or str(10 * 1024**3)),
    }


def _bytes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_LIMIT):
        raise BadParameter(_("“max-total-bytes” must be a whole number of bytes."))
    return int(text)


def _refused(request: HttpRequest, rule: InventoryFilter, refused: ProblemError) -> HttpResponseBase:
    text = text_of(refused.problem)
    if wants_json(request):
        return json_error(refused.problem.code, text, status=400)
    return _form(request, rule, problem=refused.problem, status=400)


def _form(
    request: HttpRequest, rule: InventoryFilter, *, problem: Problem | None = None, status: int = 200
) -> HttpResponseBase:
    context: dict[str, Any] = {
        "rule": rule,
        "store_names": list(access.visible_stores(request.user).order_by("name").values_list("name", flat=True)),
        "words": rule_words(rule.to_json()),
        "verdicts": [(name, text, name in rule.verdicts) for name, text in RULE_VERDICTS.items()],
        "kept": [pair for pair in filter_pairs(rule) if pair[0] != "verdict"],
        "selected": verdicts_among(request.user, rule) if rule.ids else {},
        "older_than": duration_text(rule.older_than),
        "younger_than": duration_text(rule.younger_than),
        "idle_for": duration_text(rule.idle_for),
        "problem": problem,
    }
    return render(request, "sweeps/new.html", context, status=status)
