"""An upper bound of the reserved bytes of a node, so that most reservations need no sum of all reservations.

The sum takes longer the more parts wait to be sent. The row of the node has a bound, `reserved_at_most`. Each
reservation adds its bytes to it, in its own transaction, and releases do not change it, so it is never less than the
sum. While even the bound leaves ample space, one statement decides. Otherwise `quota` reads the sum, decides by it, and
sets the bound to it. The heartbeat of the node's sender forgets the bound, and the next reservation reads the sum.

All who change the bound have locked the row of the node, on SQLite the whole database. That is why a reservation that
is not committed yet is never missing in a sum that becomes the bound.
"""

from __future__ import annotations

from django.db.models import Exists, F, QuerySet
from django.utils import timezone

from uploads.database.prepared import Given, Update
from uploads.models import StagingNode, Transfer
from uploads.services.staging.waiting import REFUSED_LATELY, waiting_for_space


def take(transfer: Transfer, size: int, most: int) -> bool:
    """Add the bytes of a reservation, if all before it take `most` bytes or less, and nobody else waits for space.

    False if that is not certain; nothing is changed then.
    """
    if most < 0:
        return False
    lately = timezone.now() - REFUSED_LATELY
    return bool(_TAKE(node=transfer.node, id=transfer.pk, lately=lately, most=most, size=size))


def set_to(node: str, size: int) -> None:
    """The reserved bytes of a node are known. The caller has the lock of the node, and has just read them."""
    StagingNode.objects.filter(name=node).update(reserved_at_most=size)


def add(node: str, size: int) -> None:
    """Bytes are reserved without a decision: they are on the disk already. Nothing changes while no bound is known."""
    StagingNode.objects.filter(name=node).update(reserved_at_most=F("reserved_at_most") + size)


def _nodes_with_space() -> QuerySet[StagingNode]:
    most = Given(StagingNode, "reserved_at_most", "most")
    rows = StagingNode.objects.filter(name=Given(Transfer, "node"), reserved_at_most__lte=most)
    return rows.exclude(Exists(waiting_for_space()))


_TAKE = Update(
    _nodes_with_space,
    lambda: {"reserved_at_most": F("reserved_at_most") + Given(StagingNode, "reserved_at_most", "size")},
)
