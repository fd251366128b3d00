"""Steps for many operations: those that are selected in the list, or all that match its filter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from dashboard.operations.listed import OPERATIONS, rows_of, search_of
from dashboard.shared.lists.steps import Selection, Step, Steps, Words, render_confirmation, take_step
from dashboard.shared.responses import explains_failures
from uploads import access
from uploads.models import Operation
from uploads.services.operations.steps import can_be_requested, pause_operation, resume_operation, stop_operation


@require_POST
@explains_failures
def steps(request: HttpRequest) -> HttpResponse:
    """On a page, a stop is confirmed: what is left then is shown first."""
    return take_step(request, STEPS)


def _confirm_stop(
    request: HttpRequest, selection: Selection[Operation], confirmation: Mapping[str, Any]
) -> HttpResponse:
    rows = rows_of(selection.rows)
    facts = {
        "rows": rows,
        "uploads": sum(row.progress.total for row in rows),
        "active": sum(row.progress.active for row in rows),
    }
    return render_confirmation(request, "operations/stop_many.html", confirmation, facts)


def _paused(count: int) -> str:
    return ngettext("%(count)s operation is paused.", "%(count)s operations are paused.", count)


def _resumed(count: int) -> str:
    return ngettext("%(count)s operation is resumed.", "%(count)s operations are resumed.", count)


def _stopped(count: int) -> str:
    return ngettext("%(count)s operation is stopped.", "%(count)s operations are stopped.", count)


def _unchanged(count: int) -> str:
    return ngettext("%(count)s operation was not changed:", "%(count)s operations were not changed:", count)


STEPS: Steps[Operation] = Steps(
    spec=OPERATIONS,
    search=search_of,
    steerable=access.operations_to_steer,
    steering=access.operations_steering_condition,
    by_name={
        "pause": Step(pause_operation, partial(can_be_requested, "pause"), _paused),
        "resume": Step(resume_operation, partial(can_be_requested, "resume"), _resumed),
        "stop": Step(stop_operation, partial(can_be_requested, "stop"), _stopped, confirm=_confirm_stop),
    },
    words=Words(
        nothing=_("No operation was changed: none is selected, or none of them allows this step."),
        unchanged=_unchanged,
        more=_("More operations match the filter. Repeat the step for the next ones."),
        too_many=_("At most %(limit)s operations can be selected."),
        no_id=_("“id” must be the id of an operation."),
    ),
)
