"""Which stores are tried in the background: those in doubt soon, and those that nobody uses now and then."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from uploads.domain.store_health import FAILING, StoreHealth
from uploads.models import Store
from uploads.services.stores.health import probe_every

TRY_EVERY = timedelta(seconds=30)
"""How often a store is tried that does not answer, cannot be reached, or is suspected to fail."""

MAX_TRIES = 2
"""Stores in doubt that one round of the watchdog has tried. Each may occupy a thread of the worker until a timeout."""

MAX_PROBES = 4
"""Other stores that one round has tried. They have answered before, or were never tried."""


def claim_tries() -> list[int]:
    """The stores to try now; each of them is claimed, so that two watchdogs do not both have it tried."""
    enabled = Store.objects.filter(enabled=True)
    claimed = _claim(enabled.filter(_DOUBT), TRY_EVERY, MAX_TRIES)
    every = probe_every()
    if every is None:
        return claimed
    unused = Q(heard_at=None) | Q(heard_at__lt=timezone.now() - every)
    return claimed + _claim(enabled.filter(unused).exclude(_DOUBT), every, MAX_PROBES)


_SUSPECTED = Q(failures__gt=0) & ~Q(health__in=[state.value for state in FAILING])
_DOUBT = Q(timeouts__gt=0) | Q(health=StoreHealth.UNREACHABLE.value) | _SUSPECTED


def _claim(stores: QuerySet[Store], every: timedelta, most: int) -> list[int]:
    now = timezone.now()
    due = stores.filter(Q(tried_at=None) | Q(tried_at__lt=now - every))
    first = due.order_by(F("tried_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)[:most]
    return [pk for pk in list(first) if due.filter(pk=pk).update(tried_at=now)]
