"""The work of an operation: aborting or completing one upload at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from uploads import crash
from uploads.domain.states import DesiredState, ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.objectstore.errors import ObjectStoreError, Reason, certainly_not_done
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone
from uploads.services.browse.ownership import owner_of
from uploads.services.ended.noting import note_found_gone
from uploads.services.multipart.abort import AbortOutcome, StillThere, abort_until_gone
from uploads.services.multipart.complete import CompletionOutcome, CompletionUnknown
from uploads.services.operations.completing import complete_item, found_json, result_of
from uploads.services.operations.confirmed import ItemRefused, explain_conflict
from uploads.services.operations.kinds import ITEMS, refusal_of
from uploads.services.operations.order import end_item
from uploads.services.operations.outcomes import REQUESTED_AT, UNANSWERED_AT
from uploads.services.operations.paced import abort_in_turn, wait_for_turn, was_sent
from uploads.services.operations.sparing import why_spared
from uploads.services.stores.clients import client_for
from uploads.services.work.attempts import Retry
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease, Take
from uploads.services.work.tasks import record_failure, task

log = logging.getLogger(__name__)


def not_paused() -> QuerySet[OperationItem]:
    """As a subquery, not as a join: see `leases.take`."""
    paused = Operation.objects.filter(pk=OuterRef("operation_id"), desired_state=DesiredState.PAUSE)
    return OperationItem.objects.filter(~Exists(paused))


TAKE = Take(ITEMS, not_paused, dict)


@task(ITEMS, not_paused, refusal=refusal_of, take=TAKE)
def run_item(lease: Lease[OperationItem]) -> None:
    """Abort or complete one upload, and write the result."""
    settle(lease, partial(_act, lease))


def _act(lease: Lease[OperationItem]) -> None:
    item = lease.row
    operation = item.operation
    if owner_of(operation.store, operation.bucket, item.key, item.upload_id):
        raise ItemRefused(Problem(Code.OWNED_BY_TRANSFER))
    if (spared := why_spared(item)) is not None:
        spare(lease, spared)
    elif operation.kind == OperationKind.ABORT:
        end_item(lease, ItemState.DONE, outcome=_abort(lease), **NO_ERROR)
    else:
        _record_completion(lease, complete_item(item))


def spare(lease: Lease[OperationItem], reason: Problem) -> None:
    """End an item whose upload is left out."""
    end_item(lease, ItemState.SPARED, **problem_fields(reason))


def settle(lease: Lease[OperationItem], act: Callable[[], None]) -> None:
    """Call `act`, which does the work of an item. If that fails, write why."""
    item = lease.row
    operation = item.operation
    try:
        act()
    except ItemRefused as refusal:
        # An earlier request may have had an effect, which is why the store has changed since.
        state = ItemState.UNKNOWN if REQUESTED_AT in item.outcome else ItemState.FAILED
        end_item(lease, state, **problem_fields(refusal.problem, refusal.details))
    except CompletionUnknown as unknown:
        _record_unknown(lease, unknown)
    except ObjectStoreError as error:
        if wait_for_turn(lease, error):
            return
        log.warning("operation %s: %s", item.operation_id, error)
        if is_gone(error):
            note_found_gone(operation.store, operation.bucket, UploadRef(item.key, item.upload_id))
        reason = _conflict(item, error) if error.reason is Reason.EXISTS else ""
        fields = error_fields(error, reason=reason) | _unanswered(item, error)
        is_open = operation.kind == OperationKind.ABORT and not certainly_not_done(error)
        record_failure(lease, error, Retry.PATIENT if is_open else Retry.LIMITED, fields)


def _record_completion(lease: Lease[OperationItem], outcome: CompletionOutcome) -> None:
    """The end of the item, or another look later: the completion itself is not repeated."""
    if outcome.trouble is None:
        end_item(lease, ItemState.DONE, outcome=result_of(lease.row, outcome), **NO_ERROR)
        return
    log.warning("operation %s: not verified yet: %s", lease.row.operation_id, outcome.trouble)
    fields = error_fields(outcome.trouble)
    if outcome.problem is not None and outcome.trouble.problem == outcome.problem:
        fields = problem_fields(outcome.problem) | {"error_request_id": fields["error_request_id"]}
    proved = {**lease.row.outcome, "proofs": list(outcome.proofs)}
    record_failure(lease, outcome.trouble, Retry.PATIENT, fields | {"outcome": proved})


def _record_unknown(lease: Lease[OperationItem], unknown: CompletionUnknown) -> None:
    item, error = lease.row, unknown.error
    log.warning("operation %s: the outcome is not known: %s", item.operation_id, error)
    error.details.append(Problem(Code.COMPLETION_UNKNOWN))
    outcome = {**item.outcome, **found_json(unknown)}
    record_failure(lease, error, Retry.PATIENT, error_fields(error) | {"outcome": outcome})


def _unanswered(item: OperationItem, error: ObjectStoreError) -> dict[str, Any]:
    """Whether an abort may have had an effect that no response has shown."""
    outcome = dict(item.outcome)
    if isinstance(error, StillThere):
        outcome.pop(UNANSWERED_AT, None)
    elif item.operation.kind == OperationKind.ABORT and not certainly_not_done(error):
        outcome.setdefault(UNANSWERED_AT, timezone.now().isoformat())
    return {"outcome": outcome}


def _conflict(item: OperationItem, error: ObjectStoreError) -> str:
    """Why the store refused to replace an object: the code of the text, and details in the error."""
    explain_conflict(item.operation, item.key, error)
    is_other = any(each.code == Code.OBJECT_REPLACED_MEANWHILE for each in error.details)
    return Code.CHANGED_SINCE_CONFIRMED if is_other else Code.OBJECT_APPEARED


def _abort(lease: Lease[OperationItem]) -> dict[str, Any]:
    item = lease.row
    if item.operation.sweep_id is None:
        return abort_outcome(send_abort(item), is_first=item.tries == 0)
    is_first = not was_sent(item)
    return abort_outcome(_between_crash_points(partial(abort_in_turn, lease)), is_first=is_first)


def send_abort(item: OperationItem) -> AbortOutcome:
    """Abort the upload of an item. Raises ObjectStoreError."""
    operation = item.operation
    client = client_for(operation.store)
    return _between_crash_points(partial(abort_until_gone, client, operation.bucket, item.key, item.upload_id))


def _between_crash_points(abort: Callable[[], AbortOutcome]) -> AbortOutcome:
    crash.point("item.taken")
    done = abort()
    crash.point("item.aborted")
    return done


def abort_outcome(done: AbortOutcome, *, is_first: bool) -> dict[str, Any]:
    """The outcome of an item. In a second attempt (`is_first` is False), the first one is what removed the upload."""
    outcome: dict[str, Any] = {"repeats": done.repeats, "already_gone": done.already_gone and is_first}
    if done.request_id:
        outcome["request_id"] = done.request_id
    if done.not_verified is not None:
        outcome["not_verified"] = error_fields(done.not_verified)
    if done.no_bucket is not None:
        outcome["no_bucket"] = error_fields(done.no_bucket)
    return outcome
