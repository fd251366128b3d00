"""What a rule would abort in its first run, by the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Left

from uploads.domain.lifecycle.editing import AbortTerms
from uploads.domain.lifecycle.rules import Since
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryBucket, InventorySettings, InventoryUpload, Store

MAX_SHOWN = 10
FIRST_RUN = timedelta(days=1)
"""Stores run their rules once a day: the first run is at most a day away."""

_UNJUDGED = (Verdict.UNCHECKED.value, Verdict.UNJUDGED.value)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a rule would abort. `bytes` are those of the `checked` uploads.

    `alive`: a part arrived lately, or a transfer owns the upload. `unjudged`: their parts are not known, or were read
    before they could be dead. `listed_at` is when the bucket was last listed completely.
    """

    uploads: int
    bytes: int
    checked: int
    alive: int
    alive_bytes: int
    unjudged: int
    listed_at: datetime | None
    shown: Sequence[InventoryUpload]
    """The alive ones first, then the largest."""

    @property
    def warns(self) -> bool:
        return self.alive > 0


def simulate(store: Store, bucket: str, terms: AbortTerms, since: Since, now: datetime) -> Simulation | None:
    """The effect of a rule with these terms and prefix; None if the bucket is not in the inventory."""
    place = InventoryBucket.objects.filter(store=store, name=bucket).first()
    if place is None or (place.listed_at is None and not place.uploads.exists()):
        return None
    rows = _hit(place, terms, since, now)
    settings = InventorySettings.objects.filter(store=store).first() or InventorySettings(store=store)
    dead_after = timedelta(days=settings.dead_days)
    # Their parts were read too long ago: some may have arrived since.
    outdated = Q(active_at__lte=now - dead_after, checked_at__lt=F("active_at") + dead_after)
    alive = Q(verdict=Verdict.ALIVE.value) | Q(active_at__gt=now - timedelta(hours=settings.alive_hours))
    totals = rows.aggregate(
        uploads=Count("pk"),
        total=Sum("bytes"),
        checked=Count("pk", filter=Q(bytes__isnull=False)),
        alive=Count("pk", filter=alive),
        alive_bytes=Sum("bytes", filter=alive),
        unjudged=Count("pk", filter=(Q(verdict__in=_UNJUDGED) | outdated) & ~alive),
    )
    shown = list(rows.filter(alive).order_by("-bytes", "pk")[:MAX_SHOWN])
    if len(shown) < MAX_SHOWN:
        shown += list(rows.filter(bytes__isnull=False).exclude(alive).order_by("-bytes")[: MAX_SHOWN - len(shown)])
    known = {name: value or 0 for name, value in totals.items()}
    return Simulation(bytes=known.pop("total"), **known, listed_at=place.listed_at, shown=tuple(shown))


def _hit(place: InventoryBucket, terms: AbortTerms, since: Since, now: datetime) -> QuerySet[InventoryUpload]:
    rows = InventoryUpload.objects.filter(bucket=place, ended_at__isnull=True)
    if terms.before is not None:
        limit = datetime.combine(terms.before, time(), UTC)
    else:
        limit = now + FIRST_RUN - timedelta(days=terms.days or 0)
    rows = rows.filter(started_at__lte=limit) if since == "start" else rows.filter(active_at__lte=limit)
    if terms.prefix:
        # Not LIKE: SQLite's does not distinguish case.
        rows = rows.alias(beginning=Left("key", len(terms.prefix))).filter(beginning=terms.prefix)
    return rows
