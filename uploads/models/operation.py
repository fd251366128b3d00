"""Operations: an abort or a completion that an operator requested, of one upload or of several."""

from __future__ import annotations

import hashlib
import uuid

from django.conf import settings
from django.db import models

from uploads.domain.states import DesiredState, ItemState, OperationKind
from uploads.models.access_token import AccessToken
from uploads.models.store import Store
from uploads.models.work import WorkFields
from uploads.problems import RecordedError


def active_key(store_id: int, bucket: str, key: str, upload_id: str) -> str:
    """A name of an upload with a fixed length. It is unique, so an upload has at most one active item."""
    return hashlib.sha256("\0".join([str(store_id), bucket, key, upload_id]).encode()).hexdigest()


class Operation(models.Model):
    """A request of an operator to abort or complete uploads. Its state is that of its items.

    `sweep`: its items are run by this sweep, which looks at each upload again immediately before.

    `access_token`: the token that requested it, if any. Items that have not begun when it is revoked are not done.

    `desired_state`: while it is paused, no upload is begun. If it is cancelled, uploads that are not begun are left.

    `spare_after`: an upload with a part from after this time is not aborted, nor one whose parts have no time.

    `confirmed`: what the operator saw and confirmed before the completion (`domain.confirmation`). It is empty in
    operations from before it was recorded. Only they use `allow_gaps` and `forbid_overwrite`: there was no object with
    this key when the completion was requested, and the store is to refuse to replace one that has appeared since.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in OperationKind])
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="operations")
    access_token = models.ForeignKey(
        AccessToken, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="operations")
    bucket = models.CharField(max_length=255)
    allow_gaps = models.BooleanField(default=False)
    forbid_overwrite = models.BooleanField(default=False)
    desired_state = models.CharField(
        max_length=6, choices=[(each.value, each.value) for each in DesiredState], default=DesiredState.RUN.value
    )
    desired_at = models.DateTimeField(null=True, blank=True)
    spare_after = models.DateTimeField(null=True, blank=True)
    confirmed = models.JSONField(default=dict, blank=True)
    sweep = models.ForeignKey("Sweep", null=True, blank=True, on_delete=models.PROTECT, related_name="operations")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # The order of the list, and what it is filtered by most. The id makes the order unique.
            models.Index(fields=["created_at", "id"], name="operation_by_age"),
            models.Index(fields=["store", "created_at", "id"], name="operation_by_store"),
            models.Index(fields=["actor", "created_at", "id"], name="operation_by_actor"),
            models.Index(fields=["kind", "created_at", "id"], name="operation_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class OperationItem(WorkFields):
    """One upload of an operation, and its result.

    `outcome` of an abort: how often it was repeated, whether the store had no such upload, and the error if the check
    after it failed (`not_verified`) or if the bucket does not exist (`no_bucket`). Of a completion: the object's size,
    ETag and date, and whether HEAD verified it.
    """

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="items")
    key = models.CharField(max_length=1024)
    upload_id = models.CharField(max_length=1024)
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value) for state in ItemState], default=ItemState.ORDERED.value
    )
    # Set while the item is active, NULL afterwards. It is unique, so an upload that is requested twice is done once.
    active_key = models.CharField(max_length=64, unique=True, null=True, blank=True)
    outcome = models.JSONField(default=dict, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    @property
    def outcome_error(self) -> RecordedError | None:
        """Why the end of an upload was not verified, although the item is done."""
        return RecordedError.from_columns(self.outcome.get("not_verified") or self.outcome.get("no_bucket") or {})

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["operation", "state"], name="item_by_state"),
            models.Index(fields=["upload_id"], name="item_by_upload_id"),
            models.Index(
                fields=["operation", "id"],
                name="item_to_enqueue",
                condition=models.Q(state="ordered", queued_at__isnull=True),
            ),
            models.Index(
                fields=["operation", "queued_at"], name="item_enqueued", condition=models.Q(queued_at__isnull=False)
            ),
            models.Index(
                fields=["state", "finished_at"], name="item_by_end", condition=models.Q(finished_at__isnull=False)
            ),
            models.Index(fields=["operation"], name="item_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id} {self.upload_id}"
