"""Evaluating the rules: an alert starts when its condition starts, and ends when that ends.

One process at a time evaluates. Alerts and their deliveries are written in one transaction before anything is sent.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from uploads.domain.alerts import Event, holds
from uploads.models import Alert, AlertDelivery, AlertRule
from uploads.problems import Code, Problem
from uploads.services.alerts.measuring import measure
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.leases import LeaseLost
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.rounds import only_one

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)

MAX_RULES = 200
"""Rules that may exist, so that a round is bounded."""


def evaluate_alerts(now: datetime | None = None) -> None:
    """One round, at most one in a minute on all nodes. An exception at one rule does not stop the others."""
    with only_one("alerts", every=EVERY) as held:
        if held is None:
            return
        for pk in AlertRule.objects.filter(enabled=True).order_by("pk").values_list("pk", flat=True)[:MAX_RULES]:
            held.renew()
            try:
                evaluate(pk, now or timezone.now())
            except LeaseLost:
                raise
            except Exception:
                log.exception("alerts: internal error at rule %s", pk)
                AlertRule.objects.filter(pk=pk).update(**problem_fields(Problem(Code.INTERNAL_ERROR)))


@transaction.atomic
def evaluate(rule_id: int, now: datetime) -> None:
    """Start or end the alert of a rule, and create the deliveries that are due. Can be repeated.

    The error of the rule says why it can neither start nor end an alert now.
    """
    rule = (
        AlertRule.objects.select_for_update(of=("self",))
        .select_related("store")
        .filter(pk=rule_id, enabled=True)
        .first()
    )
    if rule is None:
        return
    measured = measure(rule, now)
    is_met = holds(measured, rule.threshold)
    error = NO_ERROR if measured.missing is None or is_met is not None else problem_fields(measured.missing)
    for name, value in {**error, "evaluated_at": now}.items():
        setattr(rule, name, value)
    rule.save(update_fields=["evaluated_at", "samples", *error])
    active = rule.alerts.filter(ended_at__isnull=True).first()
    if measured.value is not None and is_met and active is None:
        rule.alerts.create(value=measured.value, started_at=now)
    elif is_met is False and active is not None:
        active.ended_at = now
        active.save(update_fields=["ended_at"])
    if not rule.quiet.includes(now):
        _announce(rule, now)


def _announce(rule: AlertRule, now: datetime) -> None:
    """What started is sent if it goes on, and its end if its start was. What came and went in silence is not sent."""
    for alert in rule.alerts.filter(ended_at__isnull=True, start_sent_at__isnull=True):
        alert.start_sent_at = now
        alert.save(update_fields=["start_sent_at"])
        deliver_later(rule, Event.START, alert)
    ended = rule.alerts.filter(ended_at__isnull=False, start_sent_at__isnull=False, end_sent_at__isnull=True)
    for alert in ended:
        alert.end_sent_at = now
        alert.save(update_fields=["end_sent_at"])
        deliver_later(rule, Event.END, alert)


def deliver_later(rule: AlertRule, event: Event, alert: Alert | None = None) -> list[AlertDelivery]:
    """Create the deliveries of an event over all channels of the rule, inside a transaction."""
    rows = [
        AlertDelivery.objects.create(rule=rule, alert=alert, event=event.value, channel=channel.value)
        for channel in rule.channels
    ]
    enqueue_rows("deliver_alert", [row.pk for row in rows])
    return rows
