"""The work of an operation: aborting or completing one upload at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from uploads import crash
from uploads.domain.part_summary import summarize_parts
from uploads.domain.states import ItemState, OperationKind
from uploads.models import OperationItem
from uploads.objectstore.checksums import as_kept, from_kept
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import CompletedPart
from uploads.problems import Code, Problem, ProblemError
from uploads.services.browse.browsing import forbids_overwrite, provider_of
from uploads.services.browse.ownership import owner_of
from uploads.services.browse.preflight import find_blockers
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.multipart.complete import (
    CompletionOutcome,
    CompletionUnknown,
    UploadToComplete,
    complete_upload,
    find_completed,
)
from uploads.services.multipart.expectation import Expectation
from uploads.services.operations.kinds import ITEMS
from uploads.services.operations.order import end_item
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import record_failure, task

log = logging.getLogger(__name__)

REQUESTED_AT = "ordered_at"
"""In an item's outcome from before its first CompleteMultipartUpload is sent."""


class ItemRefused(ProblemError):
    """The item fails without a request to the store. `details` add to the problem."""

    def __init__(self, problem: Problem, details: Sequence[Problem] = ()) -> None:
        super().__init__(problem)
        self.details = details


@task(ITEMS, OperationItem.objects.all)
def run_item(lease: Lease[OperationItem]) -> None:
    """Abort or complete one upload, and write the result."""
    item = lease.row
    try:
        outcome = _run(item)
    except ItemRefused as refusal:
        end_item(lease, ItemState.FAILED, **problem_fields(refusal.problem, refusal.details))
    except ObjectStoreError as error:
        log.warning("operation %s: %s", item.operation_id, error)
        reason = Code.OBJECT_APPEARED if error.reason is Reason.EXISTS else ""
        record_failure(lease, error, fields=error_fields(error, reason=reason))
    except CompletionUnknown as unknown:
        record_failure(lease, unknown.error)
    else:
        end_item(lease, ItemState.DONE, outcome=outcome, **NO_ERROR)


def _run(item: OperationItem) -> dict[str, Any]:
    operation = item.operation
    if owner_of(operation.store, operation.bucket, item.key, item.upload_id):
        raise ItemRefused(Problem(Code.OWNED_BY_TRANSFER))
    return _abort(item) if operation.kind == OperationKind.ABORT else _complete(item)


def _abort(item: OperationItem) -> dict[str, Any]:
    operation = item.operation
    crash.point("item.taken")
    done = abort_until_gone(client_for(operation.store), operation.bucket, item.key, item.upload_id)
    crash.point("item.aborted")
    # In a second attempt, the first one is what removed it.
    return {"repeats": done.repeats, "already_gone": done.already_gone and item.tries == 0}


def _complete(item: OperationItem) -> dict[str, Any]:
    """Complete the upload from the parts in the store. Repeatable: the expectation is recorded before the request."""
    upload = _upload(item)
    try:
        parts = _parts_to_complete(item)
    except ObjectStoreError as error:
        if REQUESTED_AT not in item.outcome:
            raise
        # An earlier attempt may have completed the upload.
        return _result(item, find_completed(upload, error, _expectation(item)))
    _record_request(item)
    return _result(item, complete_upload(upload, parts, _expectation(item), lambda _: crash.point("item.completed")))


def _upload(item: OperationItem) -> UploadToComplete:
    operation = item.operation
    return UploadToComplete(operation.store, operation.bucket, item.key, item.upload_id, forbids_overwrite(operation))


def _parts_to_complete(item: OperationItem) -> list[CompletedPart]:
    """All parts in the store. Raises ItemRefused if the store would refuse them, or for gaps that are not allowed."""
    operation = item.operation
    parts = list(client_for(operation.store).iter_parts(operation.bucket, item.key, item.upload_id))
    provider = provider_of(operation.store)
    part_summary = summarize_parts(parts, provider.min_part_size)
    blockers = find_blockers(part_summary, provider)
    if blockers:
        raise ItemRefused(Problem(Code.PREFLIGHT_FAILED), blockers)
    if part_summary.missing and not operation.allow_gaps:
        raise ItemRefused(Problem(Code.GAP_NOT_ALLOWED))
    crc64 = part_summary.expected_crc64
    item.outcome.update(
        expected_size=part_summary.total_bytes,
        expected_etag=part_summary.expected_etag if provider.joined_etag else "",
        expected_crc64=as_kept(crc64) if crc64 else "",
        parts=part_summary.count,
    )
    return [CompletedPart(part.number, part.etag) for part in parts]


def _record_request(item: OperationItem) -> None:
    item.outcome.setdefault(REQUESTED_AT, timezone.now().isoformat())
    OperationItem.objects.filter(pk=item.pk).update(outcome=item.outcome)


def _expectation(item: OperationItem) -> Expectation:
    outcome = item.outcome
    return Expectation(
        outcome["expected_size"], outcome.get("expected_etag", ""), from_kept(outcome.get("expected_crc64", ""))
    )


def _result(item: OperationItem, outcome: CompletionOutcome) -> dict[str, Any]:
    """The outcome as the item keeps it. A completed upload stays so if HEAD fails: done, but not verified."""
    if outcome.head_error is not None:
        log.warning("operation %s: HEAD after completion: %s", item.operation_id, outcome.head_error)
    result = {
        **item.outcome,
        "verified": outcome.verified,
        "proofs": list(outcome.proofs),
        "etag": outcome.etag,
    }
    facts = outcome.facts
    if facts is not None:
        last_modified = facts.last_modified.isoformat() if facts.last_modified else ""
        result |= {"size": facts.size, "last_modified": last_modified}
    return result
