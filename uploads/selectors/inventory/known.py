"""What scans know of the parts of given uploads."""

from __future__ import annotations

from collections.abc import Iterable

from uploads.models import InventoryBucket, InventoryUpload, Store
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import UploadRef


def known_parts(store: Store, bucket: str, names: Iterable[UploadRef]) -> dict[UploadRef, InventoryUpload]:
    """The uploads whose parts a scan has read, and that have not ended: two statements for all of them."""
    place = InventoryBucket.objects.filter(store=store, name=bucket).first()
    if place is None:
        return {}
    named = {upload_identity(place.pk, name.key, name.upload_id): name for name in names}
    rows = InventoryUpload.objects.filter(identity__in=list(named), checked_at__isnull=False, ended_at__isnull=True)
    return {named[row.identity]: row for row in rows}
