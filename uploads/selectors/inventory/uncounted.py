"""Buckets whose uploads are in no number yet: they are named instead of being counted as zero."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import InventoryFilter
from uploads.models import InventorySum
from uploads.selectors.inventory.totals import sums_of

EVERYTHING = InventoryFilter()


def uncounted_buckets(user: AnyUser, wanted: InventoryFilter = EVERYTHING) -> int:
    """How many buckets of the filter are not listed yet, or not added up yet where the sums are shown.

    A bucket that could not be listed is not among them: it is named with its error. Raises NotAllowed.
    """
    rows = access.visible_inventory_buckets(user).filter(gone_at__isnull=True, store__enabled=True)
    if wanted.store:
        rows = rows.filter(store__name=wanted.store)
    if wanted.bucket:
        rows = rows.filter(name=wanted.bucket)
    unknown = Q(listed_at__isnull=True, error_code="")
    if sums_of(user, wanted) is not None:
        unknown |= Q(changed_at__isnull=False)
    return rows.filter(unknown, ~Exists(InventorySum.objects.filter(bucket=OuterRef("pk")))).count()
