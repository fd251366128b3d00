"""The work of an operation: aborting or completing one upload at a time."""

from __future__ import annotations

import logging
from typing import Any

from django.utils import timezone

from uploads import crash
from uploads.domain.part_summary import summarize_parts
from uploads.domain.states import ItemState, OperationKind
from uploads.models import OperationItem
from uploads.objectstore.checksums import as_kept, from_kept
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import CompletedPart, SentBytes
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import ExistingObject, forbids_overwrite, head_object, provider_of
from uploads.services.browse.ownership import owner_of
from uploads.services.browse.preflight import find_blockers
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.multipart.complete import (
    CompletionOutcome,
    CompletionUnknown,
    UploadToComplete,
    complete_upload,
    find_completed,
    prove_object,
)
from uploads.services.multipart.expectation import Expectation
from uploads.services.operations.confirmed import (
    Condition,
    ItemRefused,
    check_parts,
    confirmation_of,
    explain_conflict,
    object_condition,
)
from uploads.services.operations.kinds import ITEMS
from uploads.services.operations.order import end_item
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import record_failure, task

log = logging.getLogger(__name__)

REQUESTED_AT = "ordered_at"
"""In an item's outcome from before its first CompleteMultipartUpload is sent."""


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
        reason = _conflict(item, error) if error.reason is Reason.EXISTS else ""
        record_failure(lease, error, fields=error_fields(error, reason=reason))
    except CompletionUnknown as unknown:
        record_failure(lease, unknown.error)
    else:
        end_item(lease, ItemState.DONE, outcome=outcome, **NO_ERROR)


def _conflict(item: OperationItem, error: ObjectStoreError) -> str:
    """Why the store refused to replace an object: the code of the text, and details in the error."""
    explain_conflict(item.operation, item.key, error)
    is_other = any(each.code == Code.OBJECT_REPLACED_MEANWHILE for each in error.details)
    return Code.CHANGED_SINCE_CONFIRMED if is_other else Code.OBJECT_APPEARED


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
    outcome: dict[str, Any] = {"repeats": done.repeats, "already_gone": done.already_gone and item.tries == 0}
    if done.not_verified is not None:
        outcome["not_verified"] = error_fields(done.not_verified)
    if done.no_bucket is not None:
        outcome["no_bucket"] = error_fields(done.no_bucket)
    return outcome


def _complete(item: OperationItem) -> dict[str, Any]:
    """Complete the upload from the parts in the store. Repeatable: the expectation is recorded before the request."""
    try:
        parts = _parts_to_complete(item)
    except ObjectStoreError as error:
        if REQUESTED_AT not in item.outcome:
            raise
        # An earlier attempt may have completed the upload.
        return _result(item, find_completed(_upload(item, Condition()), error, _expectation(item)))
    existing = head_object(item.operation.store, item.operation.bucket, item.key) if item.operation.confirmed else None
    if existing is not None and REQUESTED_AT in item.outcome and _expectation(item).identifies(existing.facts):
        # An earlier attempt completed the upload; Swift still lists its parts.
        operation = item.operation
        proven = prove_object(operation.store, operation.bucket, item.key, SentBytes(""), _expectation(item))
        return _result(item, proven)
    upload = _upload(item, _condition(item, existing))
    _record_request(item)
    return _result(item, complete_upload(upload, parts, _expectation(item), lambda _: crash.point("item.completed")))


def _upload(item: OperationItem, condition: Condition) -> UploadToComplete:
    operation = item.operation
    return UploadToComplete(
        operation.store,
        operation.bucket,
        item.key,
        item.upload_id,
        forbid_overwrite=condition.forbid_overwrite,
        if_match=condition.if_match,
    )


def _condition(item: OperationItem, existing: ExistingObject | None) -> Condition:
    """What the store is told about the object at the key. Raises ItemRefused if it is not the one confirmed."""
    confirmation = confirmation_of(item.operation)
    if confirmation is None or existing is None:
        return Condition(forbid_overwrite=forbids_overwrite(item.operation))
    return object_condition(confirmation, item.operation.store, existing)


def _parts_to_complete(item: OperationItem) -> list[CompletedPart]:
    """All parts in the store. Raises ItemRefused if the store would refuse them, or if they are not those confirmed."""
    operation = item.operation
    parts = list(client_for(operation.store).iter_parts(operation.bucket, item.key, item.upload_id))
    provider = provider_of(operation.store)
    part_summary = summarize_parts(parts, provider.min_part_size)
    blockers = find_blockers(part_summary, provider)
    if blockers:
        raise ItemRefused(Problem(Code.PREFLIGHT_FAILED), blockers)
    confirmation = confirmation_of(operation)
    if confirmation is not None:
        check_parts(confirmation, parts)
    elif part_summary.missing and not operation.allow_gaps:
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
