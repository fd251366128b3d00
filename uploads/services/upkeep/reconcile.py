"""Comparing the database with staging and with the stores: `manage.py reconcile`.

Every repair is a step that the ordinary work also takes, or a filtered UPDATE: it is safe while everything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from uploads import audit
from uploads.domain.states import (
    FINAL_PHASES,
    LIVE_PHASES,
    DesiredState,
    EndedHow,
    PartState,
    StoreUploadState,
)
from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import ListedPart
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import is_gone
from uploads.services.ended.noting import end_store_uploads
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.staging import nodes, quota
from uploads.services.staging.nodes import NodeConflict
from uploads.services.stores.clients import client_for
from uploads.services.transfers.dispatch import dispatch, dispatch_many
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.lost_bytes import stage_again
from uploads.services.transfers.missing_files import BYTES_GONE, has_file, is_still_staged, settle_missing_files
from uploads.services.transfers.orphans import settle_lost_creates, settle_unknown_create
from uploads.services.transfers.replaced_parts import differs
from uploads.services.upkeep.cleanup import sweep_staging
from uploads.services.work.failures import problem_fields
from uploads.services.work.tasks import dispatch_batches


class Outcome(StrEnum):
    """What became of a finding."""

    REPAIRED = "repaired"
    WOULD_BE_REPAIRED = "would-be-repaired"
    NOT_REPAIRED = "not-repaired"
    FOR_OPERATOR = "for-operator"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree. Without a `repair` an operator has to decide. `error`: why it was not checked."""

    problem: Problem
    repair: Callable[[], object] | None = None
    error: Exception | None = None


def reconcile(*, dry_run: bool) -> Iterator[tuple[Finding, Outcome]]:
    """Every finding with its outcome. One that could not be repaired has the `error`.

    Raises NodeConflict before any finding if the disk of this node is not here: nothing about it can be judged.
    """
    nodes.check_disk()
    for find in (_left_in_the_store, _unknown_creates, _different_parts, _missing_staged_parts, _reserved_by_ended):
        for finding in find():
            yield _repair(finding, dry_run=dry_run)
    if not dry_run:
        sweep_staging()
        live = list(Transfer.objects.filter(phase__in=LIVE_PHASES).order_by().values_list("pk", flat=True))
        dispatch_batches(live, dispatch_many, dispatch)


def _repair(finding: Finding, *, dry_run: bool) -> tuple[Finding, Outcome]:
    if finding.repair is None:
        return finding, Outcome.FOR_OPERATOR
    if dry_run:
        return finding, Outcome.WOULD_BE_REPAIRED
    try:
        finding.repair()
    except (ObjectStoreError, OSError, NodeConflict) as error:
        return replace(finding, error=error), Outcome.NOT_REPAIRED
    return finding, Outcome.REPAIRED


def _left_in_the_store() -> Iterator[Finding]:
    """Open uploads of transfers that have ended, and possible orphans that are gone in the meantime."""
    rows = StoreUpload.objects.exclude(state__in=(StoreUploadState.COMPLETED, StoreUploadState.GONE))
    for row in rows.select_related("transfer__store"):
        try:
            finding = _upload_finding(row, exists=_exists(row))
        except ObjectStoreError as error:
            finding = Finding(_about_upload(Code.UPLOAD_NOT_CHECKED, row), error=error)
        if finding is not None:
            yield finding


def _upload_finding(row: StoreUpload, *, exists: bool) -> Finding | None:
    is_possible_orphan = row.state == StoreUploadState.SUSPECT
    has_ended = row.transfer.phase in FINAL_PHASES
    if not exists and (is_possible_orphan or has_ended):
        return Finding(_about_upload(Code.UPLOAD_GONE, row), partial(_record_gone, row, EndedHow.ELSEWHERE))
    if exists and is_possible_orphan:
        return Finding(_about_upload(Code.UPLOAD_MAY_BE_ORPHAN, row))
    if exists and has_ended:
        return Finding(_about_upload(Code.UPLOAD_LEFT_OPEN, row), partial(_abort, row))
    return None


def _about_upload(code: Code, row: StoreUpload) -> Problem:
    transfer = row.transfer
    name = f"{transfer.store.name}/{transfer.bucket}/{transfer.key}"
    return Problem(code, upload_id=row.upload_id, object=name, transfer=str(transfer.pk))


def _exists(row: StoreUpload) -> bool:
    transfer = row.transfer
    try:
        client_for(transfer.store).list_parts(transfer.bucket, transfer.key, row.upload_id, max_parts=1)
    except ObjectStoreError as error:
        if is_gone(error):
            return False
        raise
    return True


def _abort(row: StoreUpload) -> None:
    transfer = row.transfer
    done = abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, row.upload_id)
    _record_gone(row, done.ended_how)


def _record_gone(row: StoreUpload, how: EndedHow | None) -> None:
    with transaction.atomic():
        rows = StoreUpload.objects.filter(pk=row.pk)
        if end_store_uploads(row.transfer, rows, how, {StoreUploadState(row.state)}):
            state = StoreUploadState.GONE.value
            audit.record_transfer(None, "reconciled", row.transfer, upload_id=row.upload_id, state=state)


def _unknown_creates() -> Iterator[Finding]:
    """Transfers that have ended while it was unknown whether the store had created an upload for them, and those for
    which it still is.
    """
    for transfer in Transfer.objects.filter(create_sent_at__isnull=False).exclude(phase__in=LIVE_PHASES):
        problem = Problem(Code.CREATED_UPLOAD_UNKNOWN, transfer=str(transfer.pk))
        yield Finding(problem, partial(settle_unknown_create, transfer))
    for transfer in Transfer.objects.filter(lost_creates__gt=0).select_related("store"):
        problem = Problem(Code.CREATED_UPLOAD_UNKNOWN, transfer=str(transfer.pk))
        yield Finding(problem, partial(settle_lost_creates, transfer))


def _different_parts() -> Iterator[Finding]:
    """Parts that are sent according to the database, and that the store does not have as they were sent."""
    open_uploads = StoreUpload.objects.filter(state=StoreUploadState.OPEN).exclude(transfer__phase__in=FINAL_PHASES)
    for row in open_uploads.select_related("transfer__store"):
        transfer = row.transfer
        try:
            listed = client_for(transfer.store).iter_parts(transfer.bucket, transfer.key, row.upload_id)
            theirs: dict[int, list[ListedPart]] = {}
            for each in listed:
                theirs.setdefault(each.number, []).append(each)
        except ObjectStoreError as error:
            yield Finding(_about_upload(Code.UPLOAD_NOT_CHECKED, row), error=error)
            continue
        for part in transfer.parts.filter(state=PartState.SENT, store_upload=row):
            if differs(part, theirs.get(part.number, ())):
                yield Finding(_about_part(Code.PART_DIFFERS, part), partial(_send_again, part))


def _about_part(code: Code, part: Part) -> Problem:
    return Problem(code, transfer=str(part.transfer_id), number=part.number)


def _send_again(part: Part) -> None:
    """Send a part again from staging; the transfer fails if its staged bytes are gone."""
    if is_still_staged(part):
        stage_again([part])
        return
    _fail(part, Code.SENT_PART_LOST)


def _missing_staged_parts() -> Iterator[Finding]:
    """Parts that wait to be sent from this node and whose files are gone."""
    waiting = Part.objects.filter(state=PartState.STAGED, transfer__node=settings.NODE_NAME)
    cancelled = Q(transfer__desired_state=DesiredState.CANCEL)
    for part in waiting.exclude(transfer__phase__in=FINAL_PHASES).exclude(cancelled):
        if not has_file(part):
            yield Finding(_about_part(Code.STAGED_PART_MISSING, part), partial(settle_missing_files, part.transfer))


def _fail(part: Part, code: Code) -> None:
    error = problem_fields(Problem(code, number=part.number)) | {"error_code": BYTES_GONE}
    fail_transfer(part.transfer_id, error)


def _reserved_by_ended() -> Iterator[Finding]:
    """Bytes of the quota that parts of ended transfers still reserve on this node."""
    rows = Transfer.objects.filter(node=settings.NODE_NAME, phase__in=FINAL_PHASES, parts__reserved_bytes__gt=0)
    for transfer in rows.distinct():
        problem = Problem(Code.QUOTA_NOT_RELEASED, transfer=str(transfer.pk))
        yield Finding(problem, partial(quota.release_all, transfer))
