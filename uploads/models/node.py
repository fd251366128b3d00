"""Nodes: the machines with a staging disk, and which of them are silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from uploads.database.prepared import Given, Rows


class StagingNode(models.Model):
    """A machine with a staging disk. Its row is the lock for reservations of the quota.

    `disk_id` names the disk that the node stages on, as a file on the disk does. `heard_at`: when any process of the
    node last reported; `sender_heard_at`: when its sender did, without which nothing that is staged reaches a store.
    `reserved_at_most`: an upper bound of the bytes that parts of the node have reserved; None if it is not known.
    """

    name = models.CharField(max_length=255, unique=True)
    disk_id = models.CharField(max_length=32, blank=True, default="")
    heard_at = models.DateTimeField(default=timezone.now)
    sender_heard_at = models.DateTimeField(default=timezone.now)
    reserved_at_most = models.BigIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


def silent_before() -> datetime:
    """A node that was heard last before this time is silent."""
    return timezone.now() - timedelta(seconds=settings.NODE_SILENT_SECONDS)


def silent_nodes() -> dict[str, datetime]:
    """The nodes whose staged bytes nobody sends, and since when: one query."""
    return {row[0]: row[1] for row in _SILENT(before=silent_before())}


_SILENT = Rows(
    lambda: (
        StagingNode.objects.filter(sender_heard_at__lt=Given(StagingNode, "sender_heard_at", "before"))
        .values_list("name", "sender_heard_at")
        .order_by()
    )
)


def lost_nodes() -> dict[str, datetime]:
    """The silent nodes besides this one, on which a browser cannot resume. This one receives, as it is asked."""
    return {name: since for name, since in silent_nodes().items() if name != settings.NODE_NAME}


def silent_since(name: str) -> datetime | None:
    """Since when a node is silent; None if it is not."""
    rows = StagingNode.objects.filter(name=name, sender_heard_at__lt=silent_before())
    return rows.values_list("sender_heard_at", flat=True).first()
