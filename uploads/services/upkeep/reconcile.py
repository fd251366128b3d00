"""Comparing what the database says with what staging and the stores hold: `manage.py reconcile`.

Every mend is one that the ordinary work would have made, or a filtered UPDATE: safe while everything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction

from uploads import audit
from uploads.domain.states import (
    FINAL_PHASES,
    LIVE_PHASES,
    PART_STATES,
    STORE_UPLOAD_STATES,
    DesiredState,
    PartState,
    StoreUploadState,
)
from uploads.models import Part, StoreUpload, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import ListedPart
from uploads.services.browse.browsing import is_gone
from uploads.services.multipart.abort import abort_until_gone
from uploads.services.staging import quota
from uploads.services.stores.clients import client_for
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.ending import fail_transfer
from uploads.services.transfers.orphans import settle_unknown_create
from uploads.services.upkeep.cleanup import sweep_staging
from uploads.services.work import leases
from uploads.services.work.transitions import change


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that did not agree. `mend` puts it right; None: somebody has to look."""

    text: str
    mend: Callable[[], object] | None = None


def reconcile(*, dry_run: bool) -> Iterator[tuple[Finding, str]]:
    """Every finding with what came of it: 'mended', 'would be mended', 'look at it', or why it could not be mended."""
    for find in (_left_in_the_store, _unknown_creates, _parts_that_differ, _bytes_gone, _room_of_nobody):
        for finding in find():
            yield finding, _see_to(finding, dry_run=dry_run)
    if not dry_run:
        sweep_staging()
        for transfer_id in Transfer.objects.filter(phase__in=LIVE_PHASES).values_list("pk", flat=True):
            dispatch(transfer_id)


def _see_to(finding: Finding, *, dry_run: bool) -> str:
    if finding.mend is None:
        return "look at it"
    if dry_run:
        return "would be mended"
    try:
        finding.mend()
    except (ObjectStoreError, OSError) as error:
        return f"not mended: {error}"
    return "mended"


def _left_in_the_store() -> Iterator[Finding]:
    """Uploads of ours that a transfer which has ended left open, and suspects that are gone by now."""
    rows = StoreUpload.objects.exclude(state__in=(StoreUploadState.COMPLETED, StoreUploadState.GONE))
    for row in rows.select_related("transfer__store"):
        transfer = row.transfer
        name = f"upload {row.upload_id} of {transfer.store.name}/{transfer.bucket}/{transfer.key}"
        try:
            exists = _exists(row)
        except ObjectStoreError as error:
            yield Finding(f"{name}: the store cannot be asked: {error}")
            continue
        if not exists and (row.state == StoreUploadState.SUSPECT or transfer.phase in FINAL_PHASES):
            yield Finding(f"{name} is gone from the store", partial(_set, row, StoreUploadState.GONE))
        elif exists and row.state == StoreUploadState.SUSPECT:
            yield Finding(f"{name} may be an orphan of transfer {transfer.pk}: judge it on its page")
        elif exists and transfer.phase in FINAL_PHASES:
            yield Finding(f"{name} is open though transfer {transfer.pk} has ended", partial(_abort, row))


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
    abort_until_gone(client_for(transfer.store), transfer.bucket, transfer.key, row.upload_id)
    _set(row, StoreUploadState.GONE)


def _set(row: StoreUpload, state: StoreUploadState) -> None:
    with transaction.atomic():
        rows = StoreUpload.objects.filter(pk=row.pk)
        if change(STORE_UPLOAD_STATES, rows, state, {StoreUploadState(row.state)}):
            audit.record_transfer(None, "reconciled", row.transfer, upload_id=row.upload_id, state=state.value)


def _unknown_creates() -> Iterator[Finding]:
    """Transfers that have ended while it was not known whether the store had begun an upload for them."""
    for transfer in Transfer.objects.filter(create_sent_at__isnull=False).exclude(phase__in=LIVE_PHASES):
        yield Finding(
            f"transfer {transfer.pk}: the store may have begun an upload whose id never came",
            partial(settle_unknown_create, transfer),
        )


def _parts_that_differ() -> Iterator[Finding]:
    """Parts that the database calls sent and the store does not have as they were sent."""
    open_uploads = StoreUpload.objects.filter(state=StoreUploadState.OPEN).exclude(transfer__phase__in=FINAL_PHASES)
    for row in open_uploads.select_related("transfer__store"):
        transfer = row.transfer
        try:
            listed = client_for(transfer.store).iter_parts(transfer.bucket, transfer.key, row.upload_id)
            theirs = {part.number: part for part in listed}
        except ObjectStoreError as error:
            yield Finding(f"transfer {transfer.pk}: its upload {row.upload_id} cannot be looked at: {error}")
            continue
        for part in transfer.parts.filter(state=PartState.SENT, store_upload=row):
            if _differs(part, theirs.get(part.number)):
                yield Finding(
                    f"transfer {transfer.pk}: part {part.number} is not in the store as it was sent",
                    partial(_send_again, part),
                )


def _differs(part: Part, theirs: ListedPart | None) -> bool:
    return theirs is None or theirs.size != part.size or theirs.etag.lower() != part.etag.lower()


def _send_again(part: Part) -> None:
    """From staging where its bytes are still there; else that is the end of the transfer."""
    if part.staged_path.exists():
        changes = {**leases.RELEASED, **leases.SUCCEEDED, "etag": "", "moved": 0, "store_upload": None}
        rows = Part.objects.filter(pk=part.pk)
        change(PART_STATES, rows, PartState.STAGED, {PartState.SENT}, reserved_bytes=part.size, **changes)
        return
    _fail(part, "it is in the store no more as it was sent")


def _bytes_gone() -> Iterator[Finding]:
    """Parts that wait to be sent from this node and whose files are gone."""
    waiting = Part.objects.filter(state=PartState.STAGED, transfer__node=settings.NODE_NAME)
    for part in waiting.exclude(transfer__phase__in=FINAL_PHASES).exclude(transfer__desired_state=DesiredState.CANCEL):
        if not part.staged_path.exists():
            yield Finding(
                f"transfer {part.transfer_id}: the staged bytes of part {part.number} are gone",
                partial(_fail, part, "its staged bytes are gone"),
            )


def _fail(part: Part, why: str) -> None:
    message = f"Part {part.number} cannot be sent: {why}. Discard this transfer and send the file again."
    fail_transfer(part.transfer_id, {"error_code": "BytesGone", "error_message": message, "error_request_id": ""})


def _room_of_nobody() -> Iterator[Finding]:
    """Room that parts of ended transfers still hold on this node."""
    ended = Transfer.objects.filter(
        node=settings.NODE_NAME, phase__in=FINAL_PHASES, parts__reserved_bytes__gt=0
    ).distinct()
    for transfer in ended:
        yield Finding(
            f"transfer {transfer.pk} has ended and still holds room in staging",
            partial(quota.release_all, transfer),
        )
