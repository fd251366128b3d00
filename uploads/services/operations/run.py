"""Doing what an operation ordered, one upload at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from uploads import crash
from uploads.domain.part_summary import summarize_parts
from uploads.domain.states import ItemState, OperationKind
from uploads.models import OperationItem
from uploads.objectstore.checksums import ReportedCrc64, as_kept
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import CompletedPart, ObjectFacts, SentBytes
from uploads.problems import Code, Problem, ProblemError
from uploads.services.browse.browsing import ExistingObject, forbids_overwrite, head_object, provider_of
from uploads.services.browse.ownership import owner_of
from uploads.services.browse.preflight import find_blockers
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.multipart.complete import may_have_been_done
from uploads.services.operations.kinds import ITEMS
from uploads.services.operations.order import end_item
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields
from uploads.services.work.leases import Lease
from uploads.services.work.tasks import record_failure, task

log = logging.getLogger(__name__)


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
    # On a second try our own first one is what removed it.
    return {"repeats": done.repeats, "already_gone": done.already_gone and item.tries == 0}


def _complete(item: OperationItem) -> dict[str, Any]:
    """Complete what the store holds. What is expected is written down before the act: a rerun can look for it."""
    store = item.operation.store
    try:
        parts = _parts_to_complete(item)
        item.outcome.setdefault("ordered_at", timezone.now().isoformat())
        OperationItem.objects.filter(pk=item.pk).update(outcome=item.outcome)
        answer = client_for(store).complete_multipart_upload(
            item.operation.bucket,
            item.key,
            item.upload_id,
            parts,
            forbid_overwrite=forbids_overwrite(item.operation),
        )
        crash.point("item.completed")
    except ObjectStoreError as error:
        return _after_failed_complete(item, error)
    return _facts(item, _head(item), answer)


def _parts_to_complete(item: OperationItem) -> list[CompletedPart]:
    """All parts in the store; refused where the store would refuse them, or where a gap was not allowed."""
    operation = item.operation
    client = client_for(operation.store)
    parts = list(client.iter_parts(operation.bucket, item.key, item.upload_id))
    provider = provider_of(operation.store)
    part_summary = summarize_parts(parts, provider.min_part_size)
    blockers = find_blockers(part_summary, provider)
    if blockers:
        raise ItemRefused(Problem(Code.PREFLIGHT_FAILED), blockers)
    if part_summary.missing and not operation.allow_gaps:
        raise ItemRefused(Problem(Code.GAP_NOT_ALLOWED))
    item.outcome.update(
        expected_size=part_summary.total_bytes,
        expected_etag=part_summary.expected_etag if provider.joined_etag else "",
        expected_crc64=_written(part_summary.expected_crc64),
        parts=part_summary.count,
    )
    return [CompletedPart(part.number, part.etag) for part in parts]


def _after_failed_complete(item: OperationItem, error: ObjectStoreError) -> dict[str, Any]:
    """An answer may have been lost, now or in an earlier try: HEAD decides. Raises where it proves nothing."""
    sent_before = "ordered_at" in item.outcome
    if not (sent_before and may_have_been_done(error)):
        raise error
    existing = _head(item)
    if not _is_expected(item, existing.facts):
        raise error
    return _facts(item, existing, SentBytes(""))


def _is_expected(item: OperationItem, facts: ObjectFacts | None) -> bool:
    """Whether it is the object that was to be made: of its size, and proved by its ETag or its CRC-64."""
    if facts is None or facts.size != item.outcome.get("expected_size"):
        return False
    expected_etag = item.outcome.get("expected_etag")
    proofs = [facts.etag == expected_etag] if expected_etag else []
    proofs += [same for same in [_same_crc64(item, facts.crc64)] if same is not None]
    return bool(proofs) and all(proofs)


def _same_crc64(item: OperationItem, reported: ReportedCrc64 | None) -> bool | None:
    """Whether a CRC-64 is that of the parts; None where either is not known, or they are of two kinds."""
    ours, theirs = item.outcome.get("expected_crc64", ""), _written(reported)
    if reported is None or not ours.startswith(f"{reported.algorithm}:"):
        return None
    return bool(ours == theirs)


def _written(reported: ReportedCrc64 | None) -> str:
    """As a row has it: `ecma:<16 hex digits>`, '' for none."""
    return as_kept(reported) if reported else ""


def _head(item: OperationItem) -> ExistingObject:
    """HEAD after Complete. What was completed stays so though HEAD fails: then it is done, unverified."""
    try:
        return head_object(item.operation.store, item.operation.bucket, item.key)
    except ObjectStoreError as error:
        log.warning("operation %s: HEAD after completion: %s", item.operation_id, error)
        return ExistingObject(None, error)


def _facts(item: OperationItem, existing: ExistingObject, said: SentBytes) -> dict[str, Any]:
    facts = existing.facts
    proof: dict[str, Any] = {"verified": facts is not None, "etag": said.etag}
    if facts is not None:
        # Versity says that an upload is completed which is not there, if an object of its key is.
        same_size = facts.size == item.outcome.get("expected_size", facts.size)
        other_bytes = False in (_same_crc64(item, said.reported_crc64), _same_crc64(item, facts.crc64))
        proof.update(
            verified=same_size and (not said.etag or facts.etag == said.etag) and not other_bytes,
            etag=facts.etag,
            size=facts.size,
            last_modified=facts.last_modified.isoformat() if facts.last_modified else "",
        )
    return {**item.outcome, **proof}
