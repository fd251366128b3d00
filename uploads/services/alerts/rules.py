"""Changing the rules of alerts, silencing them, and testing their channels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.domain.alerts import Event, What
from uploads.models import AlertDelivery, AlertRule, Store
from uploads.models.fields import Sealed, SecretUnreadable, opened
from uploads.problems import Code, Problem, ProblemError
from uploads.services.alerts.evaluating import MAX_RULES, deliver_later
from uploads.services.work.failures import NO_ERROR


class RuleRefused(ProblemError):
    """The name is in use, or there are too many rules."""


@dataclass(frozen=True, slots=True)
class RuleValues:
    """A rule as it is entered. `webhook_url`: None keeps the stored one, and empty removes it.

    An empty secret keeps the stored one, unless the address has changed.
    """

    name: str
    what: What
    threshold: Decimal
    currency: str = ""
    store: Store | None = None
    bucket: str = ""
    verdict: str = ""
    webhook_url: str | None = ""
    webhook_secret: str = ""
    emails: tuple[str, ...] = ()
    enabled: bool = True
    quiet_from: int | None = None
    quiet_until: int | None = None


def facts(rule: AlertRule) -> dict[str, Any]:
    """What the audit log keeps of a rule: no secret, and only the server of its webhook."""
    return {
        "name": rule.name,
        "what": rule.what,
        "threshold": f"{rule.threshold:f}",
        "currency": rule.currency,
        "store": rule.store.name if rule.store else "",
        "bucket": rule.bucket,
        "verdict": rule.verdict,
        "webhook": rule.shown_webhook,
        "emails": list(rule.emails),
        "enabled": rule.enabled,
    }


@transaction.atomic
def save_rule(actor: User | None, values: RuleValues, rule: AlertRule | None = None) -> AlertRule:
    """Add a rule, or change one. Its active alert ends with the condition it was for. Raises RuleRefused."""
    others = AlertRule.objects.exclude(pk=rule.pk) if rule else AlertRule.objects.all()
    if others.filter(name=values.name).exists():
        raise RuleRefused(Problem(Code.ALERT_NAME_TAKEN, name=values.name))
    if rule is None and others.count() >= MAX_RULES:
        raise RuleRefused(Problem(Code.TOO_MANY_ALERT_RULES, limit=MAX_RULES))
    before = facts(rule) if rule else None
    row = rule or AlertRule()
    changed = _assign(row, values)
    secrets = _assign_secrets(row, values)
    if changed or not values.enabled:
        row.samples = []
        for name, value in NO_ERROR.items():
            setattr(row, name, value)
    row.save()
    if changed or not row.enabled:
        _end_active(row)
    audit.record(
        actor, "alert.changed" if rule else "alert.added", before=before, after=facts(row), detail={"fields": secrets}
    )
    return row


CONDITION = ("what", "threshold", "currency", "store", "bucket", "verdict")


def _assign(row: AlertRule, values: RuleValues) -> bool:
    """Whether the condition is another one now."""
    was = [row.store_id, *(getattr(row, name) for name in CONDITION if name != "store")] if row.pk else None
    for name in (*CONDITION, "name", "enabled", "quiet_from", "quiet_until"):
        setattr(row, name, getattr(values, name))
    row.emails = list(values.emails)
    return was != [row.store_id, *(getattr(row, name) for name in CONDITION if name != "store")]


def _assign_secrets(row: AlertRule, values: RuleValues) -> list[str]:
    """The names of those that have changed, for the audit log, which does not have their values."""
    changed = []
    if values.webhook_url is not None and not _is_same(row.webhook_url, values.webhook_url):
        row.webhook_url = values.webhook_url
        changed.append("webhook_url")
    if values.webhook_secret or changed:
        if values.webhook_secret or row.webhook_secret:
            changed.append("webhook_secret")
        row.webhook_secret = values.webhook_secret
    return changed


def _is_same(stored: str | Sealed, entered: str) -> bool:
    """Whether both are the same address. One that no key decrypts is another one."""
    try:
        return opened(stored) == entered
    except SecretUnreadable:
        return False


def _end_active(rule: AlertRule) -> None:
    """Without a message: the condition did not end, it is not watched any more."""
    now = timezone.now()
    rule.alerts.filter(ended_at__isnull=True).update(ended_at=now, end_sent_at=now)


@transaction.atomic
def delete_rule(actor: User | None, rule: AlertRule) -> None:
    """With its alerts and deliveries."""
    before = facts(rule)
    rule.delete()
    audit.record(actor, "alert.deleted", before=before)


@transaction.atomic
def silence(actor: User | None, rule: AlertRule, until: datetime | None) -> None:
    """Send nothing until then; None: send again."""
    rule.silent_until = until
    rule.save(update_fields=["silent_until"])
    detail = {"name": rule.name, "silent_until": until.isoformat() if until else ""}
    audit.record(actor, "alert.silenced" if until else "alert.unsilenced", detail=detail)


@transaction.atomic
def send_test(actor: User | None, rule: AlertRule) -> list[AlertDelivery]:
    """Send a test over all channels of a rule, silent or not."""
    audit.record(actor, "alert.tested", detail={"name": rule.name})
    return deliver_later(rule, Event.TEST)
