"""What rows of work have in common: the last error, and the worker that has the row now."""

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
    """The work on a row: the lease (a fencing token and a deadline), when it was last enqueued, the failed attempts.

    `not_before` defers a row after a failed attempt, and `failing_since` is the time of the first of them.
    """

    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    tries = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
