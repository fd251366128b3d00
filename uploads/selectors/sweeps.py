"""Reading sweeps for pages: the list, the plan with its sample, the progress of the run and the proof."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from uploads import access
from uploads.access import AnyUser
from uploads.domain.cost import Costs
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.states import SweepItemState, SweepState
from uploads.models import RepeatingSweep, Store, Sweep, SweepItem, SweepPlace
from uploads.problems import Code, Problem
from uploads.selectors.inventory.conditions import uploads_of
from uploads.selectors.prices import Prices, prices_of

SAMPLE = 20
"""Uploads of a plan that its page shows: the largest of the first ones."""

SHOWN_RESULTS = 100
"""Spared and failed uploads that the page shows."""

PLACES = 50

OPEN_PLANS = 200
"""Sweeps that have not ended, on the page of the repeating rules."""


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How many uploads of a plan are in which state. `left` have not begun."""

    total: int
    done: int
    spared: int
    failed: int
    unknown: int
    left: int

    @property
    def ended(self) -> int:
        return self.done + self.spared + self.failed + self.unknown


def verdicts_among(user: AnyUser, wanted: InventoryFilter) -> dict[str, int]:
    """How many uploads of a selection have which verdict, the most first. Raises NotAllowed."""
    rows = uploads_of(user, replace(wanted, verdicts=())).order_by().values_list("verdict")
    return dict(rows.annotate(count=Count("pk")).order_by("-count", "verdict"))


def progress_of(sweep: Sweep) -> SweepProgress:
    """One query over an index; none before the run."""
    counts: dict[str, int] = {}
    if sweep.started_at is not None:
        rows = SweepItem.objects.filter(sweep=sweep).order_by().values("state").annotate(count=Count("pk"))
        counts = {row["state"]: row["count"] for row in rows}
    done, spared, failed, unknown = (counts.get(each, 0) for each in ("done", "spared", "failed", "unknown"))
    left = sweep.uploads - done - spared - failed - unknown
    return SweepProgress(sweep.uploads, done, spared, failed, unknown, left)


def spared_reasons(sweep: Sweep) -> list[tuple[Problem, int]]:
    """Why the plan does not have uploads that the filter matches, the most frequent reason first."""
    found = sorted(sweep.spared.items(), key=lambda each: -each[1])
    return [(Problem(Code(code)), count) for code, count in found if code in set(Code)]


def sample_of(user: AnyUser, sweep: Sweep) -> list[SweepItem]:
    """The first uploads of the plan that the user may see."""
    return list(access.sweep_items_to_see(user, sweep).order_by("number")[:SAMPLE])


def prices_for(sweep: Sweep) -> Prices:
    """The prices of the stores of the plan: two queries."""
    return prices_of(Store.objects.filter(pk__in=sweep.places.order_by().values("store")))


def plan_cost(sweep: Sweep, prices: Prices) -> Costs:
    """Of the uploads of the plan in a month."""
    return prices.total(sweep.places.order_by().values_list("store_id", "storage_class", "bytes"))


def freed_cost(sweep: Sweep, prices: Prices) -> Costs:
    """Of the bytes in a month that the run has freed, as far as they are proved."""
    gone = SweepItem.objects.filter(sweep=sweep, state=SweepItemState.DONE, proof="gone").order_by()
    sums = gone.values("store_id", "storage_class").annotate(total=Sum("bytes"))
    return prices.total((each["store_id"], each["storage_class"], each["total"]) for each in sums)


def spared_count(sweep: Sweep) -> int:
    """How many uploads the plan does not have although the filter matches them."""
    return sum(sweep.spared.values())


def places_of(sweep: Sweep) -> Sequence[SweepPlace]:
    """The buckets with the most bytes."""
    return list(sweep.places.select_related("store").order_by("-bytes", "-uploads")[:PLACES])


def results_of(user: AnyUser, sweep: Sweep) -> list[SweepItem]:
    """What was spared, what failed, and what the proof still found."""
    states = (SweepItemState.SPARED, SweepItemState.FAILED, SweepItemState.UNKNOWN)
    odd = Q(state__in=states) | (Q(state=SweepItemState.DONE) & Q(proof__in=("there", "not-known")))
    return list(access.sweep_items_to_see(user, sweep).filter(odd).order_by("number")[:SHOWN_RESULTS])


def result_sums(sweep: Sweep) -> list[dict[str, Any]]:
    """Uploads and bytes by state, reason and proof."""
    rows = SweepItem.objects.filter(sweep=sweep).order_by()
    grouped = rows.values("state", "error_reason", "proof").annotate(uploads=Count("pk"), bytes=Sum("bytes"))
    found: list[dict[str, Any]] = [dict(row) for row in grouped]
    return sorted(found, key=lambda row: (row["state"], -row["uploads"]))


def open_plans_of(user: AnyUser, repeating: Sequence[RepeatingSweep]) -> dict[uuid.UUID, list[Sweep]]:
    """The sweeps of repeating rules that have not ended, of those that the user may see: one query."""
    rows = access.sweeps_to_see(user).filter(repeating__in=repeating, finished_at__isnull=True)
    found: dict[uuid.UUID, list[Sweep]] = defaultdict(list)
    for sweep in rows.order_by("-created_at")[:OPEN_PLANS]:
        if sweep.repeating_id is not None:
            found[sweep.repeating_id].append(sweep)
    return found


def iter_items(user: AnyUser, sweep: Sweep) -> QuerySet[SweepItem]:
    """All uploads of the plan that the user may see, in the order of the plan."""
    return access.sweep_items_to_see(user, sweep).order_by("number")


IN_MOTION = frozenset({SweepState.PLANNING, SweepState.RUNNING, SweepState.PROVING})
"""States in which the page of a sweep changes by itself."""
