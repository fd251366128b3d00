"""Completing the upload of an item: requesting it, verifying its object, and finding it after a lost response.

An item's outcome is recorded before each effect, so that any attempt can continue: what is expected and what was there
before the request, and what the store returned when it confirmed the completion.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import crash
from uploads.domain.part_summary import summarize_parts
from uploads.domain.states import EndedHow
from uploads.models import OperationItem
from uploads.objectstore.checksums import as_kept, from_kept
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import CompletedPart, ObjectFacts, SentBytes, UploadRef
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import ExistingObject, head_object, may_forbid_overwrite, provider_of
from uploads.services.browse.ownership import transfer_metadata
from uploads.services.browse.preflight import find_blockers
from uploads.services.ended.noting import End, note_ended
from uploads.services.multipart.appearance import Appearance, ObjectBefore
from uploads.services.multipart.complete import (
    CompletionOutcome,
    CompletionUnknown,
    UploadToComplete,
    complete_upload,
    find_completed,
    find_object,
    prove_object,
)
from uploads.services.multipart.expectation import Expectation
from uploads.services.multipart.replacing import Condition
from uploads.services.operations.confirmed import ItemRefused, check_parts, condition_of, confirmation_of
from uploads.services.operations.outcomes import BEFORE, COMPLETED_AT, REQUESTED_AT
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import error_fields, problem_fields

log = logging.getLogger(__name__)


def complete_item(item: OperationItem) -> CompletionOutcome:
    """Complete the upload from the parts in the store. Can be repeated after any failure.

    Raises CompletionUnknown, ItemRefused, and ObjectStoreError if the upload was certainly not completed.
    """
    if COMPLETED_AT in item.outcome:
        return _prove(item)
    if REQUESTED_AT in item.outcome:
        return _complete_again(item)
    parts = _parts_to_complete(item)
    existing = _object_before(item)
    upload = _upload(item, _condition(item, existing), was_requested=False)
    _record_request(item, existing)
    try:
        return _request(item, upload, parts)
    except ObjectStoreError:
        # A certain refusal: no later attempt has to look for the object.
        item.outcome.pop(REQUESTED_AT)
        _save(item)
        raise


def _complete_again(item: OperationItem) -> CompletionOutcome:
    """After a request whose outcome is not known: look for its object first. Swift lists the parts of ended uploads."""
    operation = item.operation
    expected = expectation_of(item)
    found = find_object(operation.store, operation.bucket, item.key, expected)
    if found is not None:
        _record_completed(item, SentBytes(found.etag))
        return found
    try:
        parts = _parts_to_complete(item)
        condition = _condition(item, _object_before(item))
    except ItemRefused:
        if not provider_of(operation.store).keeps_ended:
            # The store lists the upload, so it was not completed.
            item.outcome.pop(REQUESTED_AT)
        raise
    except ObjectStoreError as error:
        outcome = find_completed(_upload(item, Condition(), was_requested=True), error, expected)
        _record_completed(item, SentBytes(outcome.etag))
        return outcome
    return _request(item, _upload(item, condition, was_requested=True), parts)


def _request(item: OperationItem, upload: UploadToComplete, parts: list[CompletedPart]) -> CompletionOutcome:
    def on_completed(response: SentBytes) -> None:
        _record_completed(item, response)
        crash.point("item.completed")

    return complete_upload(upload, parts, expectation_of(item), on_completed)


def _prove(item: OperationItem) -> CompletionOutcome:
    """The store has confirmed the completion: only HEAD is repeated."""
    outcome, operation = item.outcome, item.operation
    response = SentBytes(
        outcome.get("etag", ""),
        outcome.get("request_id", ""),
        reported_crc64=from_kept(outcome.get("reported_crc64", "")),
    )
    return prove_object(operation.store, operation.bucket, item.key, response, expectation_of(item))


def _object_before(item: OperationItem) -> ExistingObject | None:
    """What HEAD shows immediately before the request; None for an operation from before confirmations were recorded."""
    operation = item.operation
    return head_object(operation.store, operation.bucket, item.key) if operation.confirmed else None


def _upload(item: OperationItem, condition: Condition, *, was_requested: bool) -> UploadToComplete:
    operation = item.operation
    return UploadToComplete(
        operation.store,
        operation.bucket,
        item.key,
        item.upload_id,
        forbid_overwrite=condition.forbid_overwrite,
        if_match=condition.if_match,
        was_requested=was_requested,
    )


def _condition(item: OperationItem, existing: ExistingObject | None) -> Condition:
    """What the store is told about the object at the key. Raises ItemRefused if it is not the one confirmed."""
    confirmation = confirmation_of(item.operation)
    if confirmation is None or existing is None:
        operation = item.operation
        return Condition(forbid_overwrite=operation.forbid_overwrite and may_forbid_overwrite(operation.store))
    return condition_of(confirmation, item.operation.store, existing)


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
        expected_etag=part_summary.expected_etag if provider.computes_joined_etag else "",
        expected_crc64=as_kept(crc64) if crc64 else "",
        parts=part_summary.count,
    )
    return [CompletedPart(part.number, part.etag) for part in parts]


def expectation_of(item: OperationItem) -> Expectation:
    """The object that the completion creates. `item.outcome` has it from before the first request."""
    outcome, operation = item.outcome, item.operation
    before = outcome.get(BEFORE)
    appearance = Appearance(
        _in_store_time(item, outcome[REQUESTED_AT]),
        ObjectBefore.from_json(before) if isinstance(before, dict) else None,
    )
    return Expectation(
        outcome["expected_size"],
        outcome.get("expected_etag", ""),
        from_kept(outcome.get("expected_crc64", "")),
        metadata=transfer_metadata(operation.store, operation.bucket, item.key, item.upload_id),
        appearance=appearance,
    )


def _in_store_time(item: OperationItem, requested_at: str) -> datetime | None:
    """When the completion was first requested, by the store's clock; None if the store does not tell its time."""
    client = client_for(item.operation.store)
    return datetime.fromisoformat(requested_at) + client.clock_offset if client.knows_clock else None


def _record_request(item: OperationItem, existing: ExistingObject | None) -> None:
    item.outcome[REQUESTED_AT] = timezone.now().isoformat()
    if existing is not None and existing.refusal is None:
        item.outcome[BEFORE] = ObjectBefore.of(existing.facts).as_json()
    _save(item)


def _record_completed(item: OperationItem, response: SentBytes) -> None:
    """From here on, attempts only verify the object, and earlier failures no longer count."""
    reported = response.reported_crc64
    item.outcome |= {
        COMPLETED_AT: timezone.now().isoformat(),
        "etag": response.etag,
        "request_id": response.request_id,
        "reported_crc64": as_kept(reported) if reported else "",
    }
    item.outcome.pop("head_showed", None)
    item.tries, item.failing_since, item.error_reason = 0, None, ""
    operation, upload = item.operation, UploadRef(item.key, item.upload_id)
    with transaction.atomic():
        _save(item)
        note_ended(operation.store, operation.bucket, [upload], End(EndedHow.COMPLETED, operation.pk))


def _save(item: OperationItem) -> None:
    OperationItem.objects.filter(pk=item.pk).update(outcome=item.outcome)


def result_of(item: OperationItem, outcome: CompletionOutcome) -> dict[str, Any]:
    """The outcome as the item keeps it at its end. `not_verified`: why HEAD has not confirmed the object."""
    result = {
        **item.outcome,
        "verified": outcome.verified,
        "proofs": list(outcome.proofs),
        "etag": outcome.etag,
        **facts_json(outcome.facts),
    }
    if outcome.problem is not None:
        result["not_verified"] = problem_fields(outcome.problem)
    elif outcome.head_error is not None:
        log.warning("operation %s: HEAD after completion: %s", item.operation_id, outcome.head_error)
        result["not_verified"] = error_fields(outcome.head_error)
    return result


def found_json(unknown: CompletionUnknown) -> dict[str, Any]:
    """What HEAD showed while the outcome is not known: an object, none (empty), or nothing (no `head_showed`)."""
    found = unknown.found
    return {} if found is None or found.refusal is not None else {"head_showed": facts_json(found.facts, "etag")}


def facts_json(facts: ObjectFacts | None, *names: str) -> dict[str, Any]:
    if facts is None:
        return {}
    last_modified = facts.last_modified.isoformat() if facts.last_modified else ""
    more = {"etag": facts.etag} if "etag" in names else {}
    return {"size": facts.size, "last_modified": last_modified, **more}
