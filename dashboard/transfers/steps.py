"""Steps for many transfers: those that are selected in the list, or all that match its filter.

A request is bounded: it changes at most `MAX_STEPS` transfers, and says if there are more.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from dashboard.shared.jsonapi import wants_json
from dashboard.shared.lists import ListAddress, ListQuery, read_list
from dashboard.shared.messages import text_of
from dashboard.shared.numbers import Count
from dashboard.shared.parameters import BadParameter
from dashboard.shared.responses import explains_failures, see_other
from dashboard.transfers.listed import TRANSFERS, search_of
from dashboard.transfers.rows import rows_of
from uploads import access
from uploads.models import Transfer
from uploads.selectors.lists.keyset import Condition, first_ids
from uploads.services.transfers.many import Outcome, request_for_many
from uploads.services.transfers.steps import can_be_requested, request_cancel, request_pause, request_retry

StepName = Literal["cancel", "retry", "pause"]

MAX_STEPS = 200
"""The most transfers that a request changes."""

MAX_TRIED = 1000
"""The most transfers for which one tries: a failed transfer whose bytes are lost cannot be retried."""

MAX_REASONS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """`done` says how many were changed; the number is its %(count)s."""

    request: Callable[[User, Transfer], None]
    done: Callable[[int], str]


def _cancelled(count: int) -> str:
    return ngettext("%(count)s transfer is cancelled.", "%(count)s transfers are cancelled.", count)


def _retried(count: int) -> str:
    return ngettext("%(count)s transfer is retried.", "%(count)s transfers are retried.", count)


def _paused(count: int) -> str:
    return ngettext("%(count)s transfer is paused.", "%(count)s transfers are paused.", count)


STEPS: Mapping[StepName, Step] = {
    "cancel": Step(request_cancel, _cancelled),
    "retry": Step(request_retry, _retried),
    "pause": Step(request_pause, _paused),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """`has_more`: more transfers match than a request may change."""

    transfers: Sequence[Transfer]
    has_more: bool = False


@require_POST
@explains_failures
def steps(request: HttpRequest) -> HttpResponse:
    """`step` for the transfers named by `id`, or `all` for those that match the filter in the address.

    On a page, a cancellation is confirmed: what it will do is shown first, and is done with `confirmed`.
    """
    query = read_list(request, TRANSFERS)
    rows = access.transfers_to_steer(request.user)
    name = _step_in(request)
    selection = _matching(request, query, name) if request.POST.get("all") else Selection(_selected(request, rows))
    back = ListAddress(TRANSFERS, query).where({"cursor": query.cursor})
    if not selection.transfers:
        return _nothing(request, back)
    if name == "cancel" and not wants_json(request) and request.POST.get("confirmed") != "1":
        return _confirm(request, selection, back)
    outcome = request_for_many(STEPS[name].request, access.actor(request.user), selection.transfers, MAX_STEPS)
    if wants_json(request):
        return JsonResponse(_json(name, outcome, selection))
    _say(request, name, outcome, selection)
    return see_other(back)


def _step_in(request: HttpRequest) -> StepName:
    name = request.POST.get("all") or request.POST.get("step", "")
    for each in STEPS:
        if each == name:
            return each
    raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": "step", "values": ", ".join(STEPS)})


def _selected(request: HttpRequest, rows: Any) -> list[Transfer]:
    """Those that the user may steer, in the order of the list. Others are omitted, as if they did not exist."""
    given = list(dict.fromkeys(request.POST.getlist("id")))
    if len(given) > MAX_STEPS:
        raise BadParameter(_("At most %(limit)s transfers can be selected.") % {"limit": Count(MAX_STEPS)})
    try:
        ids = [uuid.UUID(each) for each in given]
    except ValueError:
        raise BadParameter(_("“id” must be the id of a transfer.")) from None
    return list(rows.filter(pk__in=ids).order_by("-created_at", "-pk"))


def _matching(request: HttpRequest, query: ListQuery, name: StepName) -> Selection:
    """The first transfers that match the filter, and for which the step may be possible."""
    search = search_of(request, query)
    conditions = (
        *search.conditions,
        Condition(access.steering_condition(request.user)),
        Condition(can_be_requested(name)),
    )
    limit = MAX_TRIED if name == "retry" else MAX_STEPS
    ids, has_more = first_ids(replace(search, conditions=conditions), query.order, limit)
    rows = access.transfers_to_steer(request.user).filter(pk__in=ids)
    return Selection(list(rows.order_by("-created_at", "-pk")), has_more)


def _nothing(request: HttpRequest, back: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"done": [], "refused": [], "more": False})
    messages.info(request, _("No transfer was changed: none is selected, or none of them allows this step."))
    return see_other(back)


def _confirm(request: HttpRequest, selection: Selection, back: str) -> HttpResponse:
    rows = rows_of(selection.transfers)
    context = {
        "rows": rows,
        "has_more": selection.has_more,
        "most": MAX_STEPS,
        "bytes": sum(row.transfer.size for row in rows),
        "received": sum(row.progress.bytes_received for row in rows),
        "sent": sum(row.progress.bytes_sent for row in rows),
        "action_url": request.get_full_path(),
        "back": back,
    }
    return render(request, "transfers/cancel_many.html", context)


def _say(request: HttpRequest, name: StepName, outcome: Outcome, selection: Selection) -> None:
    done, tried = len(outcome.done), len(outcome.done) + len(outcome.refused)
    if done:
        messages.success(request, STEPS[name].done(done) % {"count": Count(done)})
    reasons = Counter(text_of(problem) for _transfer, problem in outcome.refused)
    for text, count in reasons.most_common(MAX_REASONS):
        refused = ngettext("%(count)s transfer was not changed:", "%(count)s transfers were not changed:", count)
        messages.error(request, f"{refused % {'count': Count(count)}} {text}")
    if selection.has_more or tried < len(selection.transfers):
        messages.warning(request, _("More transfers match the filter. Repeat the step for the next ones."))


def _json(name: StepName, outcome: Outcome, selection: Selection) -> dict[str, Any]:
    return {
        "step": name,
        "done": [str(each.pk) for each in outcome.done],
        "refused": [
            {"id": str(transfer.pk), "code": problem.code, "message": text_of(problem)}
            for transfer, problem in outcome.refused
        ],
        "more": selection.has_more or len(outcome.done) + len(outcome.refused) < len(selection.transfers),
    }
