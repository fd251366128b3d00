"""The pages of alerts, for administrators: rules, active alerts and what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.alerts.rule_form import RuleForm
from dashboard.alerts.serializers import alerts_json
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.messages import text_of
from dashboard.shared.messages.alerts import CHANNELS, EVENTS, channels_text, condition_text, value_text
from dashboard.shared.responses import explains_failures, same_address, see_other
from uploads import access
from uploads.models import AlertRule
from uploads.services.alerts import rules as services

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

SHOWN = 50
"""Active alerts, and deliveries, that the page shows: the latest."""

SILENCES: Mapping[str, StrPromise] = {
    "1": gettext_lazy("for an hour"),
    "8": gettext_lazy("for 8 hours"),
    "24": gettext_lazy("for a day"),
    "168": gettext_lazy("for a week"),
}
"""How many hours a rule can be silent."""


@require_safe
@explains_failures
def alerts(request: HttpRequest) -> HttpResponseBase:
    rules = list(access.alert_rules(request.user))
    active = list(access.alerts_to_see(request.user).filter(ended_at__isnull=True)[:SHOWN])
    sent = list(access.alert_deliveries_to_see(request.user)[:SHOWN])
    if wants_json(request):
        return same_address(JsonResponse(alerts_json(rules, active, sent)))
    now = timezone.now()
    context = {
        "rules": [(rule, condition_text(rule), channels_text(rule), rule.quiet.includes(now)) for rule in rules],
        "active": [(alert, value_text(alert.rule, alert.value)) for alert in active],
        "sent": [(each, EVENTS[each.event], CHANNELS[each.channel]) for each in sent],
        "silences": SILENCES,
        "now": now,
    }
    return same_address(render(request, "alerts/alerts.html", context))


@sensitive_post_parameters("webhook_url", "webhook_secret")
@require_http_methods(["GET", "POST"])
@explains_failures
def new_rule(request: HttpRequest) -> HttpResponseBase:
    access.actor_to_manage_alerts(request.user)
    return _edit(request, None)


@sensitive_post_parameters("webhook_url", "webhook_secret")
@require_http_methods(["GET", "POST"])
@explains_failures
def rule(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    return _edit(request, access.alert_rule(request.user, rule_id))


def _edit(request: HttpRequest, found: AlertRule | None) -> HttpResponseBase:
    form = RuleForm(request.POST if request.method == "POST" else None, user=request.user, rule=found)
    if request.method == "POST" and form.is_valid():
        try:
            services.save_rule(access.actor(request.user), form.values(), found)
        except services.RuleRefused as refusal:
            form.add_error("name", text_of(refusal.problem))
        else:
            messages.success(request, _("The alert rule was saved."))
            return see_other(reverse("alerts"))
    context = {"form": form, "rule": found}
    return render(request, "alerts/rule.html", context, status=400 if form.errors else 200)


@require_POST
@explains_failures
def change(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """`action`: `test`, `delete`, `unsilence`, or `silence` for so many `hours`."""
    found, actor = access.alert_rule(request.user, rule_id), access.actor(request.user)
    action, hours = request.POST.get("action", ""), request.POST.get("hours", "")
    if action == "test":
        services.send_test(actor, found)
        messages.success(request, _("A test is being sent. The list of deliveries shows what becomes of it."))
    elif action == "delete":
        services.delete_rule(actor, found)
        messages.success(request, _("The alert rule was deleted."))
    elif action == "unsilence":
        services.silence(actor, found, None)
        messages.success(request, _("The rule sends alerts again."))
    elif action == "silence" and hours in SILENCES:
        services.silence(actor, found, timezone.now() + timedelta(hours=int(hours)))
        messages.success(request, _("The rule sends nothing for this time."))
    else:
        allowed = _("test, delete, unsilence, and silence for %(hours)s hours") % {"hours": ", ".join(SILENCES)}
        messages.error(request, _("Nothing was changed. Possible are: %(allowed)s.") % {"allowed": allowed})
    return see_other(reverse("alerts"))
