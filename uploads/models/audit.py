"""The audit log: who did what to which upload. Rows are only ever added; triggers of the database refuse the rest."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NoReturn

from django.conf import settings
from django.db import models


class Outcome(StrEnum):
    """What became of an action. An entry that is `ordered` may be followed by one with the result."""

    ORDERED = "ordered"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **_: Any) -> NoReturn:
        raise TypeError("Audit entries are never changed.")

    def delete(self) -> NoReturn:
        raise TypeError("Audit entries are never deleted.")


def _of_lines(field: str, name: str) -> models.Index:
    """An index of the entries that begin a line, by a field."""
    return models.Index(fields=[field, "-id"], name=name, condition=models.Q(ordered_id__isnull=True))


def _of_given(field: str, name: str, **condition: Any) -> models.Index:
    """An index of all entries that have a value of the field."""
    return models.Index(fields=[field, "-id"], name=name, condition=models.Q(**condition))


class AuditEntry(models.Model):
    """One action of an actor. A request and its outcome are separate rows. Names are stored as text, permanently.

    `thing` is the first word of `action`. `ordered_id`: the entry with the request whose outcome this entry is; pages
    show both in one line. It is None in an entry that begins a line. `address`, `means` and `token` say where the
    request came from (`uploads.origin`). `before` and `after` are the values that an action has changed.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="audit_entries"
    )
    actor_name = models.CharField(max_length=150)
    address = models.CharField(max_length=45, blank=True, default="")
    means = models.CharField(max_length=10, blank=True, default="")
    token = models.CharField(max_length=100, blank=True, default="")
    action = models.CharField(max_length=50)
    thing = models.CharField(max_length=50, blank=True, default="")
    outcome = models.CharField(max_length=10, blank=True, default="")
    ordered_id = models.BigIntegerField(null=True, blank=True)
    store = models.CharField(max_length=63, blank=True, default="")
    bucket = models.CharField(max_length=255, blank=True, default="")
    key = models.CharField(max_length=1024, blank=True, default="")
    upload_id = models.CharField(max_length=1024, blank=True, default="")
    transfer_id = models.UUIDField(null=True, blank=True)
    operation_id = models.UUIDField(null=True, blank=True)
    request_id = models.CharField(max_length=200, blank=True, default="")
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        # Each ends with the id, so that a page of any filter is read in the order in which it is shown. The selector
        # repeats the conditions, which SQLite compares literally.
        indexes = [
            models.Index(fields=["-id"], name="audit_lines", condition=models.Q(ordered_id__isnull=True)),
            _of_lines("actor_name", "audit_line_by_actor"),
            _of_lines("address", "audit_line_by_address"),
            _of_lines("means", "audit_line_by_means"),
            _of_lines("token", "audit_line_by_token"),
            _of_lines("thing", "audit_line_by_thing"),
            _of_lines("store", "audit_line_by_store"),
            _of_lines("bucket", "audit_line_by_bucket"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["outcome", "-id"], name="audit_by_outcome"),
            # Prefixes of keys are searched for too: LIKE on PostgreSQL needs these operators, and SQLite ignores them.
            models.Index(
                fields=["key", "-id"],
                name="audit_by_key",
                opclasses=["varchar_pattern_ops", "int8_ops"],
                condition=models.Q(key__gt=""),
            ),
            _of_given("upload_id", "audit_by_upload", upload_id__gt=""),
            _of_given("request_id", "audit_by_request", request_id__gt=""),
            _of_given("transfer_id", "audit_by_transfer", transfer_id__isnull=False),
            _of_given("operation_id", "audit_by_operation", operation_id__isnull=False),
            models.Index(fields=["ordered_id"], name="audit_by_order", condition=models.Q(ordered_id__isnull=False)),
            models.Index(fields=["at", "id"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit entries are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("Audit entries are never deleted.")


class AuditRemoval(models.Model):
    """Exists only inside the transaction of the retention: entries from before `until` may be deleted there.

    The triggers of the audit log look for it (`uploads/database/append_only.py`).
    """

    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.until:%Y-%m-%d %H:%M:%S}"
