"""What the overview says about hidden bytes: uploads in progress by verdict, and what no scan could list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet, Sum

from uploads import access
from uploads.access import AnyUser
from uploads.models import InventoryBucket, Store


@dataclass(slots=True)
class Count:
    """`bytes` are those of the `known` uploads."""

    uploads: int = 0
    known: int = 0
    bytes: int = 0

    def add(self, uploads: int, known: int, size: int) -> None:
        self.uploads += uploads
        self.known += known
        self.bytes += size


@dataclass(slots=True)
class Hidden:
    """All uploads in progress that the user may see. `sizes` are bytes with their store and storage class."""

    total: Count = field(default_factory=Count)
    by_verdict: dict[str, Count] = field(default_factory=dict)
    sizes: list[tuple[int, str, int]] = field(default_factory=list)


def hidden(user: AnyUser) -> Hidden | None:
    """From the stored sums, with one query; None for a user who may see only a part of some bucket."""
    sums = access.visible_inventory_sums(user)
    if sums is None:
        return None
    found = Hidden()
    grouped = sums.values_list("bucket__store", "storage_class", "verdict").order_by("bucket__store", "storage_class")
    for store_id, storage_class, verdict, uploads, known, size in grouped.annotate(
        n=Sum("uploads"), k=Sum("checked"), b=Sum("bytes")
    ):
        found.total.add(uploads, known, size)
        found.by_verdict.setdefault(verdict, Count()).add(uploads, known, size)
        found.sizes.append((store_id, storage_class, size))
    return found


def unlisted_buckets(user: AnyUser) -> QuerySet[InventoryBucket]:
    """Buckets that exist and that the last listing could not read, with their stores. They are not zero."""
    rows = access.visible_inventory_buckets(user).exclude(error_code="").filter(gone_at=None)
    return rows.select_related("store").order_by("store__name", "name")


def unscanned_stores(user: AnyUser) -> Sequence[Store]:
    """The enabled stores of which no bucket is in the inventory."""
    scanned = access.visible_inventory_buckets(user).order_by().values("store")
    return list(access.visible_stores(user).filter(enabled=True).exclude(pk__in=scanned).order_by("name"))
