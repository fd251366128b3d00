"""What the page of a sweep shows: its four steps, its numbers, the plan, the run and the proof."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _

from dashboard.shared.formatting import age_html, bytes_text
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import error_text
from dashboard.shared.messages.sweeps import rule_words
from dashboard.sweeps.export import FORMATS
from uploads import access
from uploads.domain.states import SweepItemState, SweepState
from uploads.domain.sweeps import needs_other_person
from uploads.domain.verdicts import Verdict
from uploads.models import Sweep, SweepItem
from uploads.objectstore.types import UploadRef
from uploads.problems import RecordedError
from uploads.selectors.sweeps import (
    IN_MOTION,
    freed_cost,
    places_of,
    plan_cost,
    prices_for,
    progress_of,
    result_sums,
    results_of,
    sample_of,
    spared_count,
    spared_reasons,
)
from uploads.services.sweeps.repeat import has_other_rule, waits_because


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a sweep. `tone`: done, now, ended (nothing follows) or later."""

    title: str
    tone: str
    text: str = ""


AT_STEP = {
    SweepState.PLANNING: 0,
    SweepState.PLANNED: 1,
    SweepState.APPROVED: 2,
    SweepState.RUNNING: 2,
    SweepState.PAUSED: 2,
    SweepState.PROVING: 3,
}


def context_of(request: HttpRequest, found: Sweep) -> dict[str, Any]:
    state = SweepState(found.state)
    actor_id = access.actor(request.user).pk
    has_results = found.started_at is not None
    progress, prices = progress_of(found), prices_for(found)
    return {
        "sweep": found,
        "steps": steps_of(found),
        "words": rule_words(found.rule),
        "progress": progress,
        "quarter": progress.ended * 4 // max(progress.total, 1) * 25,
        "moving": state in IN_MOTION,
        "may_approve": access.may_approve_sweep(request.user, found),
        "is_author": found.author_id == actor_id,
        "is_other_needed": needs_other_person(found.author_id, actor_id, required=settings.SWEEP_SECOND_PERSON),
        "hours": settings.SWEEP_PLAN_HOURS,
        "percent": settings.SWEEP_STOP_PERCENT,
        "cost": plan_cost(found, prices),
        "freed_cost": freed_cost(found, prices) if has_results else None,
        "waits": waits_because(found) if state is SweepState.PLANNED else None,
        "is_of_old_rule": has_other_rule(found) and found.finished_at is None,
        "new_words": _new_words(request, found),
        "spared": spared_reasons(found),
        "spared_count": spared_count(found),
        "sample": [(item, link_to(item)) for item in sample_of(request.user, found)],
        "places": [(each, prices.cost(each.store_id, each.storage_class, each.bytes)) for each in places_of(found)],
        "has_completable": Verdict.COMPLETABLE.value in found.rule.get("verdicts", []),
        "sums": [_sum(row) for row in result_sums(found)] if has_results else [],
        "results": [(item, link_to(item)) for item in results_of(request.user, found)] if has_results else [],
        "formats": list(FORMATS),
    }


def _new_words(request: HttpRequest, found: Sweep) -> list[tuple[str, str]]:
    """What the repeating rule is by now, if it is another one and the user may see it."""
    if found.repeating is None or not has_other_rule(found):
        return []
    try:
        access.repeating_sweep_to_edit(request.user, found.repeating.pk)
    except (access.NotAllowed, access.NotVisible):
        return []
    return rule_words(found.repeating.rule)


def link_to(item: SweepItem) -> str:
    """The page of the upload, unless it is gone."""
    if item.state == SweepItemState.DONE and item.proof != "there":
        return ""
    return BucketLinks(item.store.name, item.bucket).detail(UploadRef(item.key, item.upload_id))


def steps_of(sweep: Sweep) -> list[Step]:
    """The steps with what is known of each. The last one of a sweep that has ended early ends it."""
    state = SweepState(sweep.state)
    reached = [True, sweep.planned_at is not None, sweep.approved_at is not None, sweep.started_at is not None]
    at = AT_STEP.get(state, 4 if sweep.started_at is not None else reached.count(True) - 1)
    texts = (
        _who(sweep.author, sweep.planned_at),
        _who(sweep.approver, sweep.approved_at),
        _who(sweep.started_by, sweep.started_at),
        _("%(size)s freed") % {"size": bytes_text(sweep.freed_bytes)} if sweep.started_at and at > 2 else "",
    )
    titles = (_("Plan"), _("Approval"), _("Run"), _("Proof"))
    tones = ["done" if number < at else "later" for number in range(4)]
    if at < 4 and state is not SweepState.DONE:
        tones[at] = "ended" if sweep.finished_at is not None else "now"
    elif state in (SweepState.STOPPED, SweepState.CANCELLED):
        tones[2] = "ended"
    return [Step(*each) for each in zip(titles, tones, texts, strict=True)]


def _who(user: User | None, at: datetime | None) -> str:
    """Who did a step, and how long ago."""
    if user is None:
        return ""
    name = _("by %(name)s") % {"name": user.get_username()}
    return format_html("{}, {}", name, age_html(at)) if at is not None else name


def _sum(row: dict[str, object]) -> dict[str, object]:
    """A line of the proof. Uploads that a run has not begun are still planned."""
    reason = str(row["error_reason"])
    state = "not-begun" if row["state"] in ("planned", "ordered") else row["state"]
    return {**row, "state": state, "reason": error_text(RecordedError(reason, reason)) if reason else ""}
