"""Steps for many rows of a list: those that are selected, or all that match its filter.

A request is bounded: it changes at most `MAX_STEPS` rows, and says if there are more.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from dashboard.shared.jsonapi import wants_json
from dashboard.shared.lists.address import ListAddress
from dashboard.shared.lists.query import ListQuery, read_list
from dashboard.shared.lists.spec import ListSpec
from dashboard.shared.messages import text_of
from dashboard.shared.numbers import Count
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import see_other
from uploads import access
from uploads.access import AnyUser
from uploads.selectors.lists.keyset import Condition, Search, first_ids
from uploads.services.work.many import Outcome, request_for_many

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

M = TypeVar("M", bound=Model)

MAX_STEPS = 200
"""The most rows that a request changes."""

MAX_REASONS = 3


@dataclass(frozen=True, slots=True)
class Selection(Generic[M]):
    """`has_more`: more rows match than a request may change."""

    rows: Sequence[M]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Step(Generic[M]):
    """`possible`: the rows for which it may be possible. `done` says how many were changed: %(count)s.

    `tries`: the most rows for which a request tries, if `possible` does not decide. `confirm`, if given, renders what
    the step will do, with what `steps/confirm.html` needs; the step is then done with `confirmed`.
    """

    request: Callable[[User, M], None]
    possible: Callable[[], Q]
    done: Callable[[int], str]
    tries: int = 0
    confirm: Callable[[HttpRequest, Selection[M], Mapping[str, Any]], HttpResponse] | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What a request says. `unchanged` is followed by the reason; %(count)s and %(limit)s are numbers."""

    nothing: StrPromise
    unchanged: Callable[[int], str]
    more: StrPromise
    too_many: StrPromise
    no_id: StrPromise


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(Generic[M]):
    """The steps of a list. `steerable` are the rows that a user may change, and `steering` is that as a condition."""

    spec: ListSpec
    search: Callable[[HttpRequest, ListQuery], Search[M]]
    steerable: Callable[[AnyUser], QuerySet[M]]
    steering: Callable[[AnyUser], Q]
    by_name: Mapping[str, Step[M]]
    words: Words


def take_step(request: HttpRequest, steps: Steps[M]) -> HttpResponse:
    """`step` for the rows named by `id`, or `all` for those that match the filter in the address.

    Raises BadParameter and NotAllowed.
    """
    query = read_list(request, steps.spec)
    steerable = steps.steerable(request.user)
    name = _name_in(request, steps)
    step = steps.by_name[name]
    is_for_all = bool(request.POST.get("all"))
    selection = _matching(request, steps, step, query) if is_for_all else _selected(request, steps, steerable)
    back = ListAddress(steps.spec, query).where({"cursor": query.cursor})
    if not selection.rows:
        return _nothing(request, steps, back)
    if step.confirm and not wants_json(request) and request.POST.get("confirmed") != "1":
        return step.confirm(request, selection, _confirmation(request, name, selection, back))
    outcome = request_for_many(step.request, access.actor(request.user), selection.rows, MAX_STEPS)
    has_more = selection.has_more or len(outcome.done) + len(outcome.refused) < len(selection.rows)
    if wants_json(request):
        return JsonResponse(_json(name, outcome, has_more))
    _say(request, steps, step, outcome)
    if has_more:
        messages.warning(request, str(steps.words.more))
    return see_other(back)


def render_confirmation(
    request: HttpRequest, template: str, confirmation: Mapping[str, Any], facts: Mapping[str, Any]
) -> HttpResponse:
    """A page that extends `components/lists/confirm.html`."""
    return render(request, template, {**confirmation, **facts})


def _confirmation(request: HttpRequest, name: str, selection: Selection[Any], back: str) -> dict[str, Any]:
    return {
        "step": name,
        "ids": [row.pk for row in selection.rows],
        "has_more": selection.has_more,
        "most": MAX_STEPS,
        "action_url": request.get_full_path(),
        "back": back,
    }


def _name_in(request: HttpRequest, steps: Steps[Any]) -> str:
    name = request.POST.get("all") or request.POST.get("step", "")
    if name in steps.by_name:
        return name
    values = ", ".join(steps.by_name)
    raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": "step", "values": values})


def _in_order(rows: QuerySet[M], ids: Sequence[Any]) -> list[M]:
    return list(rows.filter(pk__in=ids).order_by("-created_at", "-pk"))


def _selected(request: HttpRequest, steps: Steps[M], steerable: QuerySet[M]) -> Selection[M]:
    """Those that the user may steer, in the order of the list. Others are omitted, as if they did not exist."""
    given = list(dict.fromkeys(request.POST.getlist("id")))
    if len(given) > MAX_STEPS:
        raise BadParameter(str(steps.words.too_many) % {"limit": Count(MAX_STEPS)})
    try:
        ids = [uuid.UUID(each) for each in given]
    except ValueError:
        raise BadParameter(str(steps.words.no_id)) from None
    return Selection(_in_order(steerable, ids))


def _matching(request: HttpRequest, steps: Steps[M], step: Step[M], query: ListQuery) -> Selection[M]:
    """The first rows that match the filter, and for which the step may be possible."""
    search = steps.search(request, query)
    own = (Condition(steps.steering(request.user)), Condition(step.possible()))
    wanted = replace(search, conditions=(*search.conditions, *own))
    ids, has_more = first_ids(wanted, query.order, step.tries or MAX_STEPS)
    return Selection(_in_order(steps.steerable(request.user), ids), has_more)


def _nothing(request: HttpRequest, steps: Steps[Any], back: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"done": [], "refused": [], "more": False})
    messages.info(request, str(steps.words.nothing))
    return see_other(back)


def _say(request: HttpRequest, steps: Steps[M], step: Step[M], outcome: Outcome[M]) -> None:
    done = len(outcome.done)
    if done:
        messages.success(request, step.done(done) % {"count": Count(done)})
    reasons = Counter(text_of(problem) for _row, problem in outcome.refused)
    for text, count in reasons.most_common(MAX_REASONS):
        messages.error(request, f"{steps.words.unchanged(count) % {'count': Count(count)}} {text}")


def _json(name: str, outcome: Outcome[Any], has_more: bool) -> dict[str, Any]:
    return {
        "step": name,
        "done": [str(each.pk) for each in outcome.done],
        "refused": [
            {"id": str(row.pk), "code": problem.code, "message": text_of(problem)} for row, problem in outcome.refused
        ],
        "more": has_more,
    }
