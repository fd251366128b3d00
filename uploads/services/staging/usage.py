"""Staged bytes of a node, by operator and by transfer."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Sum

from uploads.models import Part, Transfer
from uploads.services.staging import quota


@dataclass(frozen=True, slots=True)
class OwnerUse:
    owner: str
    reserved_bytes: int
    transfers: int


@dataclass(frozen=True, slots=True)
class StagingUse:
    """Usage of a node in bytes, the largest first. A `quota` of 0 means that only the disk limits it."""

    node: str
    reserved_bytes: int
    quota: int
    free_bytes: int
    owners: list[OwnerUse]
    transfers: list[tuple[Transfer, int]]


def staging_use(node: str, limit: int = 100) -> StagingUse:
    parts = Part.objects.filter(reserved_bytes__gt=0, transfer__node=node).order_by()
    owners = parts.values("transfer__owner__username").annotate(
        total=Sum("reserved_bytes"), transfers=Count("transfer", distinct=True)
    )
    largest = parts.values("transfer").annotate(total=Sum("reserved_bytes")).order_by("-total")[:limit]
    reserved = {row["transfer"]: row["total"] for row in largest}
    transfers = Transfer.objects.filter(pk__in=reserved).select_related("store", "owner")
    return StagingUse(
        node=node,
        reserved_bytes=quota.reserved_bytes(node),
        quota=settings.STAGING_QUOTA,
        free_bytes=quota.free_bytes(node),
        owners=[
            OwnerUse(row["transfer__owner__username"], row["total"], row["transfers"])
            for row in owners.order_by("-total")
        ],
        transfers=sorted(((each, reserved[each.pk]) for each in transfers), key=lambda pair: -pair[1]),
    )
