"""Lifecycle rules: what was last read of each bucket, and the changes that Partway has made."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from uploads.domain.lifecycle.comparing import Outcome
from uploads.models.store import Store
from uploads.models.work import ErrorFields


class LifecycleState(ErrorFields):
    """The rules of a bucket when they were last read. `rules` are those of `Rule.as_json` that abort uploads.

    `aborts_all`: one of them aborts the unfinished uploads of the whole bucket. `read_at` is NULL if they were never
    read. The error is that of the last attempt.
    """

    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+")
    bucket = models.CharField(max_length=255)
    rules = models.JSONField(default=list, blank=True)
    others = models.IntegerField(default=0)
    aborts_all = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["store", "bucket"]
        constraints = [models.UniqueConstraint(fields=["store", "bucket"], name="lifecycle_state_once")]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.bucket}"


class LifecycleChange(ErrorFields):
    """A change of the rules of a bucket. The row is written before the store is asked.

    `before` and `written` are the documents as XML, '' without rules; the sizes belong to them (SIZE_RULE). Nothing
    that a change replaces is lost: `before` can be restored. `outcome` is `unknown` until the rules were read back.
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
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["store", "bucket", "-created_at"], name="lifecycle_change_by_bucket")]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.bucket} {self.created_at}"
