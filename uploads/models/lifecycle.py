"""Lifecycle rules: what was last read of each bucket, readings in the background, and the changes of Partway."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from uploads.domain.lifecycle.comparing import Outcome
from uploads.domain.lifecycle.rules import Coverage
from uploads.domain.states import ItemState
from uploads.models.store import Store
from uploads.models.work import ErrorFields, WorkFields


class LifecycleState(ErrorFields):
    """The rules of a bucket when they were last read. `rules` are those of `Rule.as_json` that abort uploads.

    `coverage` says of which uploads these are. `read_at` is NULL if they were never read. The error is that of the last
    attempt (`tried_at`); with `is_unsupported` it says that the store has no lifecycle rules. At `due_at` the rules are
    read in the background. Until `busy_until` somebody changes them.
    """

    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="lifecycle_states")
    bucket = models.CharField(max_length=255)
    rules = models.JSONField(default=list, blank=True)
    others = models.IntegerField(default=0)
    coverage = models.CharField(
        max_length=4, choices=[(each.value, each.value) for each in Coverage], default=Coverage.NONE.value
    )
    is_unsupported = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    busy_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["store", "bucket"]
        constraints = [models.UniqueConstraint(fields=["store", "bucket"], name="lifecycle_state_once")]
        indexes = [models.Index(fields=["store", "due_at"], name="lifecycle_state_due")]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.bucket}"


class LifecycleVersion(models.Model):
    """The rules of a bucket as a user has seen them, `text` as XML, '' without rules. A few of a bucket are kept."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="+")
    bucket = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    text = models.TextField(blank=True, default="")
    size_rule = models.CharField(max_length=100, blank=True, default="")
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["store", "bucket", "digest"], name="lifecycle_version_once")]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.bucket} {self.digest}"


class LifecycleReading(WorkFields):
    """Buckets of a store whose rules one task reads. It has those that are left, and the row is deleted at the end."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="lifecycle_readings")
    buckets = models.JSONField(default=list)
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value) for state in ItemState], default=ItemState.ORDERED.value
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["queued_at"], name="lifecycle_reading_waiting", condition=models.Q(state="ordered")),
            models.Index(fields=["lease_until"], name="lifecycle_reading_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"reading {self.pk}"


class LifecycleChange(ErrorFields):
    """A change of the rules of a bucket. The row is written before the store is asked.

    `before` and `written` are the documents as XML, '' without rules; the sizes belong to them (SIZE_RULE). Nothing
    that a change replaces is lost: `before` can be restored. `accepted_at`: the store said that it has the rules.
    `outcome` is `unknown` until they were read back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+")
    bucket = models.CharField(max_length=255)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    rule_id = models.CharField(max_length=255, blank=True, default="")
    before = models.TextField(blank=True, default="")
    before_size = models.CharField(max_length=100, blank=True, default="")
    written = models.TextField(blank=True, default="")
    written_size = models.CharField(max_length=100, blank=True, default="")
    outcome = models.CharField(
        max_length=16, choices=[(each.value, each.value) for each in Outcome], default=Outcome.UNKNOWN.value
    )
    created_at = models.DateTimeField(auto_now_add=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["store", "bucket", "-created_at"], name="lifecycle_change_by_bucket")]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.bucket} {self.created_at}"
