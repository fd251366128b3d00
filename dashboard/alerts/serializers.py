"""The JSON of alerts. No secret, and of a webhook only its server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dashboard.shared.jsonapi import iso
from dashboard.shared.messages import error_json
from uploads.models import Alert, AlertDelivery, AlertRule
from uploads.services.alerts.rules import facts


def alerts_json(
    rules: Iterable[AlertRule], active: Iterable[Alert], deliveries: Iterable[AlertDelivery]
) -> dict[str, Any]:
    return {
        "rules": [_rule(each) for each in rules],
        "active": [_alert(each) for each in active],
        "deliveries": [_delivery(each) for each in deliveries],
    }


def _rule(rule: AlertRule) -> dict[str, Any]:
    times = {"silent_until": iso(rule.silent_until), "evaluated_at": iso(rule.evaluated_at)}
    return {"id": rule.pk, **facts(rule), **times, "error": error_json(rule.error)}


def _alert(alert: Alert) -> dict[str, Any]:
    value = f"{alert.value.normalize():f}"
    return {"id": str(alert.pk), "rule": alert.rule_id, "value": value, "started_at": iso(alert.started_at)}


def _delivery(each: AlertDelivery) -> dict[str, Any]:
    return {
        "id": str(each.pk),
        "rule": each.rule_id,
        "event": each.event,
        "channel": each.channel,
        "state": each.state,
        "status": each.status,
        "attempts": each.attempts,
        "created_at": iso(each.created_at),
        "finished_at": iso(each.finished_at),
    }
