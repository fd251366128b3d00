"""Transfers that wait for space in staging."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet

from uploads.database.prepared import Given
from uploads.domain.states import DesiredState
from uploads.models import Transfer

REFUSED_LATELY = timedelta(seconds=30)
"""How long the claim of a refused transfer stands. A sender that still waits tries again within this time."""


def waiting_for_space() -> QuerySet[Transfer]:
    """For a prepared statement: those of a `node` that were refused since `lately`, except the one with the `id`."""
    return (
        Transfer.objects.filter(
            node=Given(Transfer, "node"),
            quota_refused_at__gte=Given(Transfer, "quota_refused_at", "lately"),
            quota_refused_at__isnull=False,  # SQLite uses the index only if the query repeats its condition.
            desired_state=DesiredState.RUN,
        )
        .exclude(pk=Given(Transfer, "id"))
        .order_by()
    )
