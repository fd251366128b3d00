"""Steps for many transfers: those that are selected in the list, or all that match its filter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from dashboard.shared.lists.steps import Selection, Step, Steps, Words, render_confirmation, take_step
from dashboard.shared.responses import explains_failures
from dashboard.transfers.listed import TRANSFERS, search_of
from dashboard.transfers.rows import rows_of
from uploads import access
from uploads.models import Transfer
from uploads.services.transfers.steps import can_be_requested, request_cancel, request_pause, request_retry

MAX_RETRIED = 1000
"""The most transfers that a request tries to retry: a failed transfer whose bytes are lost cannot be retried."""


@require_POST
@explains_failures
def steps(request: HttpRequest) -> HttpResponse:
    """On a page, a cancellation is confirmed: what it will do is shown first."""
    return take_step(request, STEPS)


def _confirm_cancel(
    request: HttpRequest, selection: Selection[Transfer], confirmation: Mapping[str, Any]
) -> HttpResponse:
    rows = rows_of(selection.rows)
    facts = {
        "rows": rows,
        "bytes": sum(row.transfer.size for row in rows),
        "received": sum(row.progress.bytes_received for row in rows),
        "sent": sum(row.progress.bytes_sent for row in rows),
    }
    return render_confirmation(request, "transfers/cancel_many.html", confirmation, facts)


def _cancelled(count: int) -> str:
    return ngettext("%(count)s transfer is cancelled.", "%(count)s transfers are cancelled.", count)


def _retried(count: int) -> str:
    return ngettext("%(count)s transfer is retried.", "%(count)s transfers are retried.", count)


def _paused(count: int) -> str:
    return ngettext("%(count)s transfer is paused.", "%(count)s transfers are paused.", count)


def _unchanged(count: int) -> str:
    return ngettext("%(count)s transfer was not changed:", "%(count)s transfers were not changed:", count)


STEPS: Steps[Transfer] = Steps(
    spec=TRANSFERS,
    search=search_of,
    steerable=access.transfers_to_steer,
    steering=access.steering_condition,
    by_name={
        "cancel": Step(request_cancel, partial(can_be_requested, "cancel"), _cancelled, confirm=_confirm_cancel),
        "retry": Step(request_retry, partial(can_be_requested, "retry"), _retried, tries=MAX_RETRIED),
        "pause": Step(request_pause, partial(can_be_requested, "pause"), _paused),
    },
    words=Words(
        nothing=_("No transfer was changed: none is selected, or none of them allows this step."),
        unchanged=_unchanged,
        more=_("More transfers match the filter. Repeat the step for the next ones."),
        too_many=_("At most %(limit)s transfers can be selected."),
        no_id=_("“id” must be the id of a transfer."),
    ),
)
