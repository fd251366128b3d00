"""Removing old entries of the audit log: the one way in which entries go, and it leaves an entry itself."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from uploads import audit
from uploads.models import AuditEntry, AuditRemoval

BATCH = 5000
"""Entries that one transaction removes, and that one entry reports."""


def removable_entries(until: datetime) -> QuerySet[AuditEntry]:
    """Entries from before that time. A request is kept as long as its outcome is."""
    outcomes = AuditEntry.objects.filter(ordered_id=OuterRef("pk"), ordered_id__isnull=False, at__gte=until)
    return AuditEntry.objects.filter(~Exists(outcomes.order_by()), at__lt=until)


def remove_entries(until: datetime) -> int:
    """Remove a batch of the oldest entries, and record how many. Returns that number; 0: none is left."""
    with transaction.atomic():
        ids = list(removable_entries(until).order_by("at", "id").values_list("pk", flat=True)[:BATCH])
        if ids:
            # The triggers let these entries go while this row exists, which no other transaction sees.
            removal = AuditRemoval.objects.create(until=until)
            AuditEntry.objects.filter(pk__in=ids)._raw_delete(connection.alias)
            removal.delete()
            audit.record(None, "audit.removed", detail={"entries": len(ids), "until": until.isoformat()})
    return len(ids)
