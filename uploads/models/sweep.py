"""Sweeps: a rule, the plan of the uploads that it concerns, its approval, its run and the proof."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from uploads.domain.states import SweepItemState, SweepState
from uploads.models.access_token import AccessToken
from uploads.models.inventory import VERDICTS
from uploads.models.operation import OperationItem
from uploads.models.store import Store
from uploads.models.work import WorkFields

STATES = [(state.value, state.value) for state in SweepState]
ITEM_STATES = [(state.value, state.value) for state in SweepItemState]


class RepeatingSweep(models.Model):
    """A rule that is planned again by a schedule.

    A plan within `max_uploads` and `max_bytes` runs without anybody, if the rule was approved with these limits.
    `minute` is the minute of the day in UTC, `weekday` the day of weekly plans, 0 for Monday. `next_at` is NULL while
    the schedule is disabled.
    """

    SCHEDULES = ("daily", "weekly")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.JSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    schedule = models.CharField(max_length=8, choices=[(name, name) for name in SCHEDULES])
    minute = models.PositiveSmallIntegerField(default=240)
    weekday = models.PositiveSmallIntegerField(default=6)
    max_uploads = models.BigIntegerField()
    max_bytes = models.BigIntegerField()
    next_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["next_at"], name="sweep_repeats_at", condition=models.Q(next_at__isnull=False))]

    def __str__(self) -> str:
        return f"repeating sweep {self.id}"


class Sweep(WorkFields):
    """A sweep. `rule` is its filter as JSON; `store`, `bucket` and `prefix` are where the rule is limited to.

    The plan: `planned_to` is the inventory row that it has reached, `digest` names its content, and `spared` counts the
    uploads that the rule does not concern, by the code of the reason. `bytes` are those of `known` uploads.

    The run: `started_by` is its actor. `ends_as` is the state that the sweep gets after its proof. `attempted`
    counts the uploads that have ended, `failures` those that failed or could not be read. `freed_bytes` are
    those of uploads that were aborted and that the store no longer has.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.JSONField()
    store = models.ForeignKey(Store, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    bucket = models.CharField(max_length=255, blank=True, default="")
    prefix = models.CharField(max_length=1024, blank=True, default="")
    state = models.CharField(max_length=9, choices=STATES, default=SweepState.PLANNING.value)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sweeps")
    access_token = models.ForeignKey(
        AccessToken, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    repeating = models.ForeignKey(
        RepeatingSweep, on_delete=models.PROTECT, null=True, blank=True, related_name="sweeps"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    planned_to = models.BigIntegerField(default=0)
    planned_at = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True, default="")
    uploads = models.BigIntegerField(default=0)
    known = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    spared = models.JSONField(default=dict, blank=True)

    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)

    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    run_token = models.ForeignKey(
        AccessToken, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    started_at = models.DateTimeField(null=True, blank=True)
    attempted = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0)
    freed_bytes = models.BigIntegerField(default=0)
    ends_as = models.CharField(max_length=9, choices=STATES, default=SweepState.DONE.value)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"], name="sweep_by_age"),
            models.Index(fields=["state"], name="sweep_unfinished", condition=models.Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"sweep {self.id}"


class SweepPlace(models.Model):
    """The uploads of a plan in one bucket."""

    sweep = models.ForeignKey(Sweep, on_delete=models.CASCADE, related_name="places")
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+")
    bucket = models.CharField(max_length=255)
    storage_class = models.CharField(max_length=255, blank=True, default="")
    uploads = models.BigIntegerField(default=0)
    known = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sweep", "store", "bucket", "storage_class"], name="sweep_place_once")
        ]

    def __str__(self) -> str:
        return f"{self.sweep_id} {self.store_id}/{self.bucket}"


class SweepItem(WorkFields):
    """One upload of a plan, as it was when it was planned, and what became of it.

    `upload_row` is the id of its row in the inventory, `number` its place in the plan. The error is the reason why the
    upload was spared or failed. `proof`: what ListParts showed after the run; empty before it.
    """

    PROOFS = ("gone", "there", "not-known")

    sweep = models.ForeignKey(Sweep, on_delete=models.CASCADE, related_name="items")
    number = models.BigIntegerField()
    upload_row = models.BigIntegerField()
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    bucket = models.CharField(max_length=255)
    key = models.CharField(max_length=1024)
    upload_id = models.CharField(max_length=1024)
    storage_class = models.CharField(max_length=255, blank=True, default="")
    verdict = models.CharField(max_length=12, choices=VERDICTS)
    parts = models.IntegerField(null=True, blank=True)
    bytes = models.BigIntegerField(null=True, blank=True)
    active_at = models.DateTimeField()
    last_part_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=ITEM_STATES, default=SweepItemState.PLANNED.value)
    operation_item = models.ForeignKey(
        OperationItem, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    proof = models.CharField(max_length=9, choices=[(name, name) for name in PROOFS], blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["sweep", "upload_row"], name="sweep_item_once")]
        indexes = [
            models.Index(fields=["sweep", "number"], name="sweep_item_by_number"),
            models.Index(fields=["sweep", "state", "number"], name="sweep_item_by_state"),
            models.Index(fields=["queued_at"], name="sweep_item_waiting", condition=models.Q(state="ordered")),
            models.Index(fields=["lease_until"], name="sweep_item_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.sweep_id} {self.upload_id}"
