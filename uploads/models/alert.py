"""Alerts: the rules, what they found, and what was sent."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models

from uploads.domain.alerts import MASK, Channel, Event, Quiet, Sample, What, masked_address
from uploads.domain.states import ItemState
from uploads.models.fields import EncryptedTextField, SecretUnreadable, opened
from uploads.models.inventory import VERDICTS
from uploads.models.store import Store
from uploads.models.work import ErrorFields, WorkFields


class AlertRule(ErrorFields):
    """A condition, and where its alerts are sent. Without a store: all enabled stores; without a bucket: all of them.

    `threshold` is in the unit of `what`; `currency` is that of a cost. `samples` are the bytes of the last days, for
    growth. `webhook_url` is a secret too: with it, anybody can send messages to the receiver. `quiet_from` and
    `quiet_until` are minutes of the day in UTC. The error says why the rule could neither start nor end an alert when
    it was evaluated last.
    """

    name = models.CharField(max_length=100, unique=True)
    what = models.CharField(max_length=16, choices=[(each.value, each.value) for each in What])
    threshold = models.DecimalField(max_digits=24, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    currency = models.CharField(max_length=3, blank=True, default="")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    bucket = models.CharField(max_length=255, blank=True, default="")
    verdict = models.CharField(max_length=12, choices=VERDICTS, blank=True, default="")
    webhook_url = EncryptedTextField(blank=True, default="")
    webhook_secret = EncryptedTextField(blank=True, default="")
    emails = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    quiet_from = models.PositiveSmallIntegerField(null=True, blank=True)
    quiet_until = models.PositiveSmallIntegerField(null=True, blank=True)
    silent_until = models.DateTimeField(null=True, blank=True)
    samples = models.JSONField(default=list, blank=True)
    evaluated_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def quiet(self) -> Quiet:
        return Quiet(self.quiet_from, self.quiet_until, self.silent_until)

    @property
    def sampled(self) -> list[Sample]:
        return [(date.fromisoformat(day), int(size)) for day, size in self.samples]

    @property
    def shown_webhook(self) -> str:
        """The server of the webhook, with a mask in place of the rest; only the mask if no key decrypts it."""
        try:
            return masked_address(opened(self.webhook_url)) if self.webhook_url else ""
        except SecretUnreadable:
            return MASK

    @property
    def channels(self) -> tuple[Channel, ...]:
        found = ((Channel.WEBHOOK, self.webhook_url), (Channel.EMAIL, self.emails))
        return tuple(channel for channel, target in found if target)


class Alert(models.Model):
    """A time in which the condition of a rule held. At most one of a rule is active.

    `start_sent_at` and `end_sent_at`: when its deliveries were created; NULL while the rule is silent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    value = models.DecimalField(max_digits=30, decimal_places=6)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    start_sent_at = models.DateTimeField(null=True, blank=True)
    end_sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(fields=["rule"], name="one_active_alert", condition=models.Q(ended_at__isnull=True))
        ]
        indexes = [models.Index(fields=["-started_at"], name="alert_by_time")]

    def __str__(self) -> str:
        return f"alert {self.id}"


class AlertDelivery(WorkFields):
    """One message of an alert over one channel. Its id is the same in every attempt, so that a receiver can drop
    duplicates. Without an alert it is a test. `status` is that of the last response.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="deliveries")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, null=True, blank=True, related_name="deliveries")
    event = models.CharField(max_length=8, choices=[(each.value, each.value) for each in Event])
    channel = models.CharField(max_length=8, choices=[(each.value, each.value) for each in Channel])
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value) for state in ItemState], default=ItemState.ORDERED.value
    )
    status = models.PositiveIntegerField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["alert", "event", "channel"], name="one_delivery_per_event")]
        indexes = [
            models.Index(fields=["-created_at"], name="delivery_by_time"),
            models.Index(fields=["queued_at"], name="delivery_waiting", condition=models.Q(state="ordered")),
        ]

    def __str__(self) -> str:
        return f"delivery {self.id}"
