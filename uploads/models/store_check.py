"""Store checks: a conformance probe of a store in one bucket, and its results."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from django.conf import settings
from django.db import models

from uploads.domain.states import ItemState
from uploads.models.store import Store
from uploads.models.work import WorkFields


def active_check(store_id: int, bucket: str) -> str:
    """A fixed-length name of a store and bucket, so that at most one check of them can be active."""
    return hashlib.sha256(f"{store_id}\0{bucket}".encode()).hexdigest()


def new_prefix() -> str:
    return f".partway-check-{secrets.token_hex(6)}/"


class StoreCheck(WorkFields):
    """A requested check of a store: by whom, its progress and its results.

    `created` is what the check may have left in the bucket (probing.created.CreatedThings). It is written before each
    request and emptied by the clean-up. What remains when the check has ended could not be removed; `leftovers` says
    why. `results` are probing.results.CheckResult as JSON. `overrides` are the fields of the profile of `provider` that
    were overridden afterwards.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="checks")
    bucket = models.CharField(max_length=255)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="store_checks"
    )
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value) for state in ItemState], default=ItemState.ORDERED.value
    )
    # Set while the check is active, NULL afterwards: a second request joins the active check.
    active_key = models.CharField(max_length=64, unique=True, null=True, blank=True)
    prefix = models.CharField(max_length=64, default=new_prefix, editable=False)
    created = models.JSONField(default=dict, blank=True)
    leftovers = models.JSONField(default=list, blank=True)
    step = models.CharField(max_length=100, blank=True, default="")
    results = models.JSONField(default=list, blank=True)
    total = models.IntegerField(default=0)
    requests = models.IntegerField(default=0)
    provider = models.CharField(max_length=32, blank=True, default="")
    overrides = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # The order of the list, and what it is filtered by most. The id makes the order unique.
            models.Index(fields=["created_at", "id"], name="check_by_age"),
            models.Index(fields=["store", "created_at", "id"], name="check_by_store"),
            models.Index(fields=["actor", "created_at", "id"], name="check_by_actor"),
            models.Index(fields=["state", "created_at", "id"], name="check_by_state"),
            models.Index(fields=["queued_at"], name="check_waiting", condition=models.Q(state="ordered")),
            models.Index(fields=["created_at"], name="check_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"check {self.id} of {self.bucket}"

    @property
    def is_active(self) -> bool:
        return self.state in {ItemState.ORDERED, ItemState.RUNNING}
