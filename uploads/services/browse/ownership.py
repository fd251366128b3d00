"""Which transfer owns an upload in the store."""

from __future__ import annotations

from collections.abc import Sequence

from uploads.domain.states import FINAL_PHASES, ItemState, OperationKind, StoreUploadState
from uploads.models import OperationItem, Store, StoreUpload, Transfer
from uploads.models import upload_ids as known_ids
from uploads.problems import Code, Problem, ProblemError


class OwnedByTransfer(ProblemError):
    """A transfer in progress owns this upload; the transfer has to be cancelled instead."""

    def __init__(self, transfer: Transfer) -> None:
        super().__init__(Problem(Code.OWNED_BY_TRANSFER))
        self.transfer = transfer


Owners = dict[tuple[str, str], Transfer]
"""Transfers that own uploads, by (key, upload id)."""


def owners(store: Store, bucket: str, upload_ids: Sequence[str]) -> Owners:
    """The unfinished transfers that own uploads: one query, and a second one if transfers had any of them."""
    known = known_ids.of_transfers(upload_ids)
    if not known:
        return {}
    rows = (
        StoreUpload.objects.filter(
            upload_id__in=known,
            state=StoreUploadState.OPEN,
            transfer__store=store,
            transfer__bucket=bucket,
        )
        .exclude(transfer__phase__in=FINAL_PHASES)
        .select_related("transfer")
    )
    return {(row.transfer.key, row.upload_id): row.transfer for row in rows}


def owned_in_store(store: Store, upload_ids: Sequence[str]) -> set[tuple[str, str, str]]:
    """The uploads that unfinished transfers own, as (bucket, key, upload id): one query for all buckets."""
    rows = StoreUpload.objects.filter(
        upload_id__in=upload_ids, state=StoreUploadState.OPEN, transfer__store=store
    ).exclude(transfer__phase__in=FINAL_PHASES)
    return set(rows.values_list("transfer__bucket", "transfer__key", "upload_id"))


def was_aborted_by_operator(transfer: Transfer, store_upload: StoreUpload) -> bool:
    """Whether an operation of this site has aborted the upload or is aborting it."""
    return OperationItem.objects.filter(
        operation__kind=OperationKind.ABORT,
        operation__store=transfer.store_id,
        operation__bucket=transfer.bucket,
        key=transfer.key,
        upload_id=store_upload.upload_id,
        state__in=(ItemState.RUNNING, ItemState.DONE, ItemState.UNKNOWN),
    ).exists()


TRANSFER_ID_METADATA = "partway-transfer"
"""Object metadata with the id of the transfer that created the object."""


def transfer_metadata(store: Store, bucket: str, key: str, upload_id: str) -> dict[str, str]:
    """The metadata of the object of an upload that a transfer has certainly created; empty for other uploads."""
    rows = StoreUpload.objects.exclude(state=StoreUploadState.SUSPECT).filter(
        upload_id=upload_id, transfer__store=store, transfer__bucket=bucket, transfer__key=key
    )
    row = rows.first()
    return {TRANSFER_ID_METADATA: str(row.transfer_id)} if row else {}


def owner_of(store: Store, bucket: str, key: str, upload_id: str) -> Transfer | None:
    return owners(store, bucket, [upload_id]).get((key, upload_id))
