"""A completion that the store refuses for its parts: another client has replaced some of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from django.db import transaction

from uploads import audit
from uploads.domain.part_numbers import name_numbers
from uploads.domain.states import PartState, Phase, StoreUploadState
from uploads.models import Part, Transfer
from uploads.objectstore.errors import ObjectStoreError, Refused
from uploads.objectstore.types import ListedPart
from uploads.problems import Code, Problem
from uploads.services.stores.clients import client_for
from uploads.services.transfers.dispatch import dispatch
from uploads.services.transfers.lost_bytes import stage_again
from uploads.services.transfers.missing_files import is_still_staged
from uploads.services.work.failures import NO_ERROR, error_code
from uploads.services.work.leases import Lease

log = logging.getLogger(__name__)

ABOUT_PARTS = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "InvalidPartSize"})
"""Codes with which stores refuse to complete an upload whose parts are not those of the request."""


def settle_replaced_parts(lease: Lease[Transfer], error: ObjectStoreError) -> bool:
    """Compare the parts of a refused completion with ListParts, and send those again that are still staged.

    False if that is not possible. The error then says what was found: the parts that someone else has replaced, no
    such part, or nothing, as ListParts failed. Call it under the lease of the transfer.
    """
    if not isinstance(error, Refused) or error.code not in ABOUT_PARTS:
        return False
    transfer = lease.row
    try:
        differing = _differing_parts(transfer)
    except ObjectStoreError as failed:
        log.info("transfer %s: its parts could not be listed: %s", transfer.pk, failed)
        error.details.append(
            Problem(Code.PARTS_NOT_COMPARED, code=error_code(failed), request_id=failed.request_id or "-")
        )
        return False
    if not differing:
        error.details.append(Problem(Code.PARTS_LISTED_AS_SENT))
        return False
    numbers = name_numbers([part.number for part in differing])
    if not all(is_still_staged(part) for part in differing):
        error.details.append(Problem(Code.PARTS_REPLACED, count=len(differing), parts=numbers))
        return False
    _send_again(lease, differing, numbers)
    return True


def are_replaced(error: ObjectStoreError) -> bool:
    """Whether `settle_replaced_parts` has found parts that cannot be sent again: the upload exists, incomplete."""
    return any(each.code == Code.PARTS_REPLACED for each in error.details)


def _send_again(lease: Lease[Transfer], differing: Sequence[Part], numbers: str) -> None:
    with transaction.atomic():
        if not lease.end(Phase.SENDING, **NO_ERROR):
            return
        stage_again(differing)
        audit.record_transfer(None, "parts-replaced", lease.row, parts=numbers)
    dispatch(lease.row.pk)


def _differing_parts(transfer: Transfer) -> list[Part]:
    """The sent parts that the store does not have as they were sent. Raises ObjectStoreError."""
    store_upload = transfer.store_uploads.filter(state=StoreUploadState.OPEN).first()
    if store_upload is None:
        return []
    listed = client_for(transfer.store).iter_parts(transfer.bucket, transfer.key, store_upload.upload_id)
    theirs: dict[int, list[ListedPart]] = {}
    for part in listed:
        theirs.setdefault(part.number, []).append(part)
    sent = transfer.parts.filter(state=PartState.SENT, store_upload=store_upload).select_related("transfer")
    return [part for part in sent if differs(part, theirs.get(part.number, ()))]


def differs(part: Part, theirs: Iterable[ListedPart]) -> bool:
    """Whether no listed copy of a part is the one that was sent. A size or ETag that is not known shows nothing."""
    return all(
        each.size not in (None, part.size) or each.etag.lower() not in ("", part.etag.lower()) for each in theirs
    )
