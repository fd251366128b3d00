"""The sums of the inventory."""

from __future__ import annotations

from django.utils import timezone

from uploads.models import InventoryBucket


def mark_changed(bucket: InventoryBucket) -> None:
    """Note that the sums of the bucket are not up to date."""
    InventoryBucket.objects.filter(pk=bucket.pk, changed_at__isnull=True).update(changed_at=timezone.now())
