"""The inventory: what scans know about all uploads in progress of all stores."""

from __future__ import annotations

import hashlib

from django.db import models

from uploads.domain.beginnings import after_all_with
from uploads.domain.verdicts import Verdict
from uploads.models.store import Store
from uploads.models.work import ErrorFields

IN_PROGRESS = models.Q(ended_at__isnull=True)
"""The condition of the indexes of uploads. Queries repeat it literally: SQLite compares it so."""

COUNTED = ("verdict", "store", "storage_class", "bytes")
"""What totals and groups read of each upload, besides what they group by."""

VERDICTS = [(verdict.value, verdict.value) for verdict in Verdict]


def keys_below(prefix: str) -> models.Q:
    """Keys with this beginning, exact in case, as a range of an index. Both databases compare keys by their bytes."""
    end = after_all_with(prefix)
    return models.Q(key__gte=prefix) & (models.Q(key__lt=end) if end else models.Q())


def upload_identity(bucket_id: int, key: str, upload_id: str) -> str:
    """A name of an upload with a fixed length, which a unique index can have however long key and upload id are."""
    return hashlib.blake2b(f"{bucket_id}\0{key}\0{upload_id}".encode(), digest_size=16).hexdigest()


class InventoryBucket(ErrorFields):
    """A bucket of the inventory.

    `listed_at` is the start of its last complete listing; what was not seen since then was not listed. The error is
    that of the last listing, if it failed. `gone_at`: the store said that the bucket does not exist. `changed_at` is
    the time since when its sums are not up to date; NULL if they are. `changes` counts the changes of its uploads.
    """

    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="inventory_buckets")
    name = models.CharField(max_length=255)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)
    changes = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["store", "name"]
        constraints = [models.UniqueConstraint(fields=["store", "name"], name="inventory_bucket_once")]
        indexes = [
            models.Index(
                fields=["changed_at"], name="inventory_bucket_changed", condition=models.Q(changed_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.store_id}/{self.name}"


class InventoryUpload(models.Model):
    """An upload that a scan has seen. Times are the store's, except those of our own observations.

    `initiated`, `first_part_at` and `last_part_at` are NULL if the store names none. `started_at` is `initiated`, or
    when the upload was first seen; `active_at` is the time of the last part, or `started_at`, by our clock: the store's
    clock was `behind_seconds` behind it when the parts were read. At `changed_after` they had been read before, and
    something arrived since; NULL if nothing is known to have arrived between two checks. What only ListParts
    knows (`parts` and the following) is NULL until `checked_at`; `bytes` stays NULL if the size of a part is not known.
    `check_due_at`: when the parts are to be read again; NULL if they were never read. `check_error` is the code of the
    error if the last ListParts failed. `gaps` are the missing part numbers below the highest.

    `verdict` holds until `verdict_until` (NULL: until the facts change). `object_modified_at` is the Last-Modified of
    the object with this key, when it was looked up at `object_seen_at`; NULL if there is none. `object_error` is the
    code of the error if it could not be looked up then; what was known before stays. `object_due_at`: when it is to be
    looked up; NULL while its verdict does not need it.

    `ended_at`: when the upload was found to be gone. `ended_how` says by whom, as far as it is known (`EndedHow`).
    """

    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_index=False)
    bucket = models.ForeignKey(InventoryBucket, on_delete=models.CASCADE, related_name="uploads", db_index=False)
    identity = models.CharField(max_length=32, unique=True)
    key = models.CharField(max_length=1024)
    upload_id = models.CharField(max_length=1024)
    initiated = models.DateTimeField(null=True, blank=True)
    initiator = models.CharField(max_length=1024, blank=True, default="")
    owner = models.CharField(max_length=1024, blank=True, default="")
    storage_class = models.CharField(max_length=255, blank=True, default="")

    parts = models.IntegerField(null=True, blank=True)
    bytes = models.BigIntegerField(null=True, blank=True)
    first_part_at = models.DateTimeField(null=True, blank=True)
    last_part_at = models.DateTimeField(null=True, blank=True)
    highest_part = models.IntegerField(null=True, blank=True)
    gaps = models.IntegerField(null=True, blank=True)
    smallest_inner_bytes = models.BigIntegerField(null=True, blank=True)
    abort_at = models.DateTimeField(null=True, blank=True)
    abort_rule = models.CharField(max_length=255, blank=True, default="")

    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    started_at = models.DateTimeField()
    active_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)
    check_due_at = models.DateTimeField(null=True, blank=True)
    check_error = models.CharField(max_length=100, blank=True, default="")
    behind_seconds = models.IntegerField(default=0)
    changed_after = models.DateTimeField(null=True, blank=True)

    verdict = models.CharField(max_length=12, choices=VERDICTS, default=Verdict.UNCHECKED.value)
    verdict_until = models.DateTimeField(null=True, blank=True)
    object_modified_at = models.DateTimeField(null=True, blank=True)
    object_seen_at = models.DateTimeField(null=True, blank=True)
    object_error = models.CharField(max_length=100, blank=True, default="")
    object_due_at = models.DateTimeField(null=True, blank=True)

    ended_at = models.DateTimeField(null=True, blank=True)
    ended_how = models.CharField(max_length=20, blank=True, default="")
    ended_operation = models.UUIDField(null=True, blank=True)
    ended_transfer = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["bucket", "check_due_at", "id"],
                name="inventory_check_due",
                condition=IN_PROGRESS,
            ),
            *(
                models.Index(fields=[column, "id"], name=f"inventory_by_{name}", condition=IN_PROGRESS)
                for name, column in (
                    ("bytes", "bytes"),
                    ("idle", "active_at"),
                    ("key", "key"),
                    ("class", "storage_class"),
                    ("upload_id", "upload_id"),
                )
            ),
            *(
                models.Index(fields=[column, "bytes", "id"], name=f"inventory_by_{column}", condition=IN_PROGRESS)
                for column in ("store", "verdict")
            ),
            # What totals and groups need is in these, so that they read no rows.
            *(
                models.Index(fields=[*columns, *COUNTED], name=f"inventory_by_{name}", condition=IN_PROGRESS)
                for name, columns in (
                    ("age", ("started_at", "id", "bucket", "parts")),
                    ("initiator", ("initiator", "id", "bucket", "parts")),
                    ("bucket_key", ("bucket", "key", "id", "parts")),
                    ("parts", ("parts", "id", "bucket", "started_at")),
                )
            ),
            models.Index(
                fields=["bucket", "bytes", "id", "parts", "started_at", "initiator", *COUNTED[:-1]],
                name="inventory_by_bucket",
                condition=IN_PROGRESS,
            ),
            # Most verdicts hold until the facts change.
            models.Index(
                fields=["verdict_until"],
                name="inventory_verdict_due",
                condition=IN_PROGRESS & models.Q(verdict_until__isnull=False),
            ),
            models.Index(
                fields=["store", "object_due_at"],
                name="inventory_object_due",
                condition=IN_PROGRESS & models.Q(object_due_at__isnull=False),
            ),
            models.Index(fields=["ended_at"], name="inventory_ended", condition=models.Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.bucket_id} {self.upload_id}"


class InventorySum(models.Model):
    """The uploads in progress of a bucket with one verdict and storage class.

    `checked` are those of which the bytes are known, `empty` those without parts.
    """

    bucket = models.ForeignKey(InventoryBucket, on_delete=models.CASCADE, related_name="sums")
    verdict = models.CharField(max_length=12, choices=VERDICTS)
    storage_class = models.CharField(max_length=255, blank=True, default="")
    uploads = models.BigIntegerField(default=0)
    empty = models.BigIntegerField(default=0)
    checked = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bucket", "verdict", "storage_class"], name="inventory_sum_once")
        ]

    def __str__(self) -> str:
        return f"{self.bucket_id} {self.verdict}"


class InventoryDay(models.Model):
    """The uploads in progress of a bucket at the end of a UTC day, or lately for today.

    `checked` are those of which the bytes are known. Bytes that become known later look like growth without it.
    `by_verdict` has the uploads and the bytes of each verdict: {"dead": [3, 1048576]}.
    """

    bucket = models.ForeignKey(InventoryBucket, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    uploads = models.BigIntegerField(default=0)
    checked = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    by_verdict = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bucket", "day"], name="inventory_day_once")]
        indexes = [models.Index(fields=["day"], name="inventory_day_by_day")]

    def __str__(self) -> str:
        return f"{self.bucket_id} {self.day}"


class InventorySettings(models.Model):
    """How the uploads of a store are judged, and when and how fast it is scanned. Without a row: the defaults.

    `alive_hours` and `dead_days` are the thresholds of the verdicts. `requests_per_second` and `requests_in_flight` are
    the limits of all workers together. `scan_minute` is the minute of the day in UTC at which daily and weekly scans
    start, and `scan_weekday` the day of weekly ones, 0 for Monday. After a change of the thresholds, all uploads are
    judged again in the order of their ids: `judged_to` is the last one that was; NULL when all are.
    """

    SCHEDULES = ("off", "hourly", "daily", "weekly")

    store = models.OneToOneField(Store, on_delete=models.CASCADE, primary_key=True, related_name="inventory_settings")
    alive_hours = models.PositiveIntegerField(default=24)
    dead_days = models.PositiveIntegerField(default=7)
    schedule = models.CharField(max_length=8, choices=[(name, name) for name in SCHEDULES], default="off")
    scan_minute = models.PositiveSmallIntegerField(default=180)
    scan_weekday = models.PositiveSmallIntegerField(default=6)
    requests_per_second = models.PositiveIntegerField(default=50)
    requests_in_flight = models.PositiveIntegerField(default=8)
    judged_to = models.BigIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return f"inventory of {self.store_id}"
