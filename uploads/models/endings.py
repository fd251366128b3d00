"""Who ended an upload, as far as Partway did."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from uploads.domain.states import ItemState, OperationKind, StoreUploadState
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
    """Uploads that Partway completed or aborted, by (key, upload id): two queries."""
    rows = StoreUpload.objects.filter(
        upload_id__in=upload_ids,
        state__in=(StoreUploadState.COMPLETED, StoreUploadState.GONE),
        transfer__store=store,
        transfer__bucket=bucket,
    ).select_related("transfer")
    items = OperationItem.objects.filter(
        upload_id__in=upload_ids,
        state=ItemState.DONE,
        operation__store=store,
        operation__bucket=bucket,
    ).select_related("operation")
    ended = {(row.transfer.key, row.upload_id): _ended_with_transfer(row) for row in rows}
    for item in items:
        if item.outcome_error is None:
            ended[item.key, item.upload_id] = Ended(
                item.operation.kind == OperationKind.COMPLETE,
                item.finished_at,
                bool(item.outcome.get("already_gone")),
                operation_id=item.operation_id,
            )
    return ended


def _ended_with_transfer(row: StoreUpload) -> Ended:
    return Ended(row.state == StoreUploadState.COMPLETED, row.transfer.finished_at, transfer_id=row.transfer_id)
