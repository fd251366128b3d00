"""Who ended an upload, as far as Partway did."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from uploads.domain.states import ItemState, OperationKind, StoreUploadState
from uploads.models import upload_ids as known_ids
from uploads.models.operation import OperationItem
from uploads.models.store import Store
from uploads.models.transfer import StoreUpload


@dataclass(frozen=True, slots=True)
class Ended:
    """How Partway ended an upload: by an operation, or with the transfer that had started it.

    `found_none`: the abort found no such upload.
    """

    completed: bool
    at: datetime | None
    found_none: bool = False
    operation_id: uuid.UUID | None = None
    transfer_id: uuid.UUID | None = None


def ended_here(store: Store, bucket: str, upload_ids: Sequence[str]) -> dict[tuple[str, str], Ended]:
    """Uploads that Partway completed or aborted, by (key, upload id): two queries, and one for each kind found."""
    ended = {
        (row.transfer.key, row.upload_id): _ended_with_transfer(row) for row in _of_transfers(store, bucket, upload_ids)
    }
    for item in _of_operations(store, bucket, upload_ids):
        if item.outcome_error is None:
            ended[item.key, item.upload_id] = Ended(
                item.operation.kind == OperationKind.COMPLETE,
                item.finished_at,
                bool(item.outcome.get("already_gone")),
                operation_id=item.operation_id,
            )
    return ended


def _of_transfers(store: Store, bucket: str, upload_ids: Sequence[str]) -> Iterable[StoreUpload]:
    known = known_ids.of_transfers(upload_ids)
    if not known:
        return ()
    return StoreUpload.objects.filter(
        upload_id__in=known,
        state__in=(StoreUploadState.COMPLETED, StoreUploadState.GONE),
        transfer__store=store,
        transfer__bucket=bucket,
    ).select_related("transfer")


def _of_operations(store: Store, bucket: str, upload_ids: Sequence[str]) -> Iterable[OperationItem]:
    known = known_ids.of_operations(upload_ids)
    if not known:
        return ()
    return OperationItem.objects.filter(
        upload_id__in=known,
        state=ItemState.DONE,
        operation__store=store,
        operation__bucket=bucket,
    ).select_related("operation")


def _ended_with_transfer(row: StoreUpload) -> Ended:
    return Ended(row.state == StoreUploadState.COMPLETED, row.transfer.finished_at, transfer_id=row.transfer_id)
