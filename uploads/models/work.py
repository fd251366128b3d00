"""What rows of work have in common: the last error, and who works on the row now."""

from __future__ import annotations

from django.db import models

from uploads.problems import RecordedError


class ErrorFields(models.Model):
    """The last error; an empty code means none. `RecordedError` says what each column holds.

    `error_params` are the parameters of the text of `error_reason`, and under `details` further problems.
    """

    error_code = models.CharField(max_length=100, blank=True, default="")
    error_reason = models.CharField(max_length=64, blank=True, default="")
    error_params = models.JSONField(default=dict, blank=True)
    error_message = models.TextField(blank=True, default="")
    error_request_id = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        abstract = True

    @property
    def error(self) -> RecordedError | None:
        return RecordedError.from_columns({field.name: getattr(self, field.name) for field in ErrorFields._meta.fields})


class WorkFields(ErrorFields):
    """Work on this row: who holds it now (a fencing token and a deadline), when it was last enqueued, how often tried.

    `not_before` holds a row back after a failed attempt; `failing_since` is when the attempts began to fail.
    """

    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    tries = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
