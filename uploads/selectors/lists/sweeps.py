"""The list of sweeps, and its filter. They are few: a sweep is planned for many uploads."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from uploads import access
from uploads.access import AnyUser
from uploads.models import Sweep, SweepPlace
from uploads.selectors.lists.common import ListFilter, created_between, of_store, of_user


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFilter(ListFilter):
    """A sweep is of a store or bucket if its rule is limited to it, or if its plan has uploads of it."""

    state: str = ""


def find_sweeps(user: AnyUser, wanted: SweepFilter, *, oldest_first: bool = False) -> QuerySet[Sweep]:
    """Raises NotAllowed."""
    rows = access.sweeps_to_see(user)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.store:
        rows = rows.filter(_at(of_store(user, wanted.store).q))
    if wanted.bucket:
        rows = rows.filter(_at(Q(bucket=wanted.bucket)))
    if wanted.owner:
        rows = rows.filter(of_user("author", wanted.owner).q)
    for each in created_between(wanted.since, wanted.until):
        rows = rows.filter(each.q)
    return rows.order_by(*(("created_at", "pk") if oldest_first else ("-created_at", "-pk")))


def _at(place: Q) -> Q:
    return place | Q(Exists(SweepPlace.objects.filter(place, sweep=OuterRef("pk"))))
