"""The audit log: who did what to which upload. Rows are only ever added."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **_: Any) -> NoReturn:
        raise TypeError("Audit entries are never changed.")

    def delete(self) -> NoReturn:
        raise TypeError("Audit entries are never deleted.")


class AuditEntry(models.Model):
    """One action of an actor. A request and its outcome are separate rows. Names are stored as text, permanently."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="audit_entries"
    )
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=50)
    store = models.CharField(max_length=63, blank=True, default="")
    bucket = models.CharField(max_length=255, blank=True, default="")
    key = models.CharField(max_length=1024, blank=True, default="")
    upload_id = models.CharField(max_length=1024, blank=True, default="")
    transfer_id = models.UUIDField(null=True, blank=True)
    operation_id = models.UUIDField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["actor_name", "-id"], name="audit_by_actor"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["store", "bucket", "-id"], name="audit_by_bucket"),
            models.Index(
                fields=["transfer_id"], name="audit_by_transfer", condition=models.Q(transfer_id__isnull=False)
            ),
            models.Index(
                fields=["operation_id"], name="audit_by_operation", condition=models.Q(operation_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit entries are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("Audit entries are never deleted.")
