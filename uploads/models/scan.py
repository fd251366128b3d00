"""Scans: reading all uploads in progress of a store into the inventory."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from uploads.domain.states import ItemState
from uploads.models.inventory import InventoryBucket
from uploads.models.store import Store
from uploads.models.work import WorkFields

ITEM_CHOICES = [(state.value, state.value) for state in ItemState]


class Scan(WorkFields):
    """A requested scan of a store. Its progress is that of its buckets.

    `origin` says what requested it: a schedule, a button or a command. `places` are the requested buckets and prefixes,
    as [bucket, prefix]; empty for all buckets. The error is that of ListBuckets, and `state` that of finding the
    buckets, which ends at `buckets_listed_at`. At `listed_at` the uploads of all buckets were listed.
    """

    ORIGINS = ("schedule", "page", "command")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="scans")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    origin = models.CharField(max_length=8, choices=[(name, name) for name in ORIGINS])
    places = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=8, choices=ITEM_CHOICES, default=ItemState.ORDERED.value)
    created_at = models.DateTimeField(auto_now_add=True)
    buckets_listed_at = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["store", "-created_at"], name="scan_by_store"),
            models.Index(fields=["created_at"], name="scan_active", condition=models.Q(finished_at__isnull=True)),
            models.Index(fields=["queued_at"], name="scan_waiting", condition=models.Q(state="ordered")),
            models.Index(fields=["lease_until"], name="scan_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"scan {self.id}"


class BucketScan(WorkFields):
    """One bucket in a scan. `state` is that of its listing: a few pages are one task, the markers say where it goes on.

    `active_key` is set while the bucket is scanned, so that one scan of a bucket runs at a time; without it, the scan
    waits for another one. `listed` are the uploads that were listed, `to_check` those whose parts are to be read,
    `checked` those that were read, and `refused` those whose parts could not be read. `is_complete` is False once a
    page has left out an upload that the store has. `marker_seen` is a digest of an earlier marker, to find listings
    without end.

    `checks` says whose parts are read next: those of uploads that were never checked, then those of others that are
    due, after the cursors. The bucket is finished without any, and without batches.
    """

    NONE, NEW, KNOWN = 0, 1, 2

    scan = models.ForeignKey(Scan, on_delete=models.CASCADE, related_name="buckets")
    bucket = models.ForeignKey(InventoryBucket, on_delete=models.CASCADE, related_name="scans")
    prefix = models.CharField(max_length=1024, blank=True, default="")
    state = models.CharField(max_length=8, choices=ITEM_CHOICES, default=ItemState.ORDERED.value)
    active_key = models.CharField(max_length=64, unique=True, null=True, blank=True)
    key_marker = models.CharField(max_length=1024, blank=True, default="")
    upload_id_marker = models.CharField(max_length=1024, blank=True, default="")
    marker_seen = models.CharField(max_length=32, blank=True, default="")
    is_complete = models.BooleanField(default=True)
    checks = models.PositiveSmallIntegerField(default=NONE)
    due_cursor = models.DateTimeField(null=True, blank=True)
    id_cursor = models.BigIntegerField(default=0)
    pages = models.IntegerField(default=0)
    requests = models.IntegerField(default=0)
    listed = models.BigIntegerField(default=0)
    to_check = models.BigIntegerField(default=0)
    checked = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["scan", "state"], name="bucket_scan_by_state"),
            models.Index(fields=["queued_at"], name="bucket_scan_waiting", condition=models.Q(state="ordered")),
            models.Index(fields=["lease_until"], name="bucket_scan_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.scan_id} {self.bucket_id}"


class PartsBatch(WorkFields):
    """Uploads of one bucket whose parts one task reads. `uploads` are the ids of their rows in the inventory."""

    bucket_scan = models.ForeignKey(BucketScan, on_delete=models.CASCADE, related_name="batches")
    uploads = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=ITEM_CHOICES, default=ItemState.ORDERED.value)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["bucket_scan", "state"], name="parts_batch_by_state"),
            models.Index(fields=["queued_at"], name="parts_batch_waiting", condition=models.Q(state="ordered")),
            models.Index(fields=["lease_until"], name="parts_batch_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.bucket_scan_id} {self.pk}"


class ObjectsBatch(WorkFields):
    """Uploads of a store whose objects one task looks up, one batch of a store at a time.

    `uploads` are the ids of their rows in the inventory. Without any, the batch is done, and deleted.
    """

    store = models.OneToOneField(Store, on_delete=models.CASCADE, related_name="+")
    uploads = models.JSONField(default=list)
    state = models.CharField(max_length=8, choices=ITEM_CHOICES, default=ItemState.ORDERED.value)

    def __str__(self) -> str:
        return f"objects of {self.store_id}"
