"""Transfers, operations and checks for the lists. Run in a process of the stack."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from tests.dashboard.make_transfer import make_transfer
from uploads.domain.states import DesiredState, ItemState, OperationKind, Phase
from uploads.models import Operation, OperationItem, Store, StoreCheck, Transfer
from uploads.objectstore.errors import Reason

ERROR: dict[str, Any] = {
    "error_code": "AccessDenied",
    "error_reason": Reason.PERMISSION,
    "error_params": {"operation": "UploadPart"},
    "error_request_id": "tx0000017",
}


def create(store_name: str, bucket: str) -> None:
    """Three transfers whose browsers have gone, one that failed yesterday, and others."""
    owner, store = User.objects.get(username="admin"), Store.objects.get(name=store_name)
    now = timezone.now()
    long_ago = now - timedelta(hours=2)
    for number in range(3):
        make_transfer(
            owner,
            store,
            bucket=bucket,
            key=f"stuck/video-{number}.mov",
            sent=2 + number,
            phase=Phase.SENDING,
            received_at=long_ago,
            resumable=True,
        )
    failed = make_transfer(
        owner, store, bucket=bucket, key="reports/yesterday.csv", sent=5, all_received=True, phase=Phase.FAILED, **ERROR
    )
    yesterday = {"created_at": now - timedelta(days=1), "finished_at": now - timedelta(days=1)}
    Transfer.objects.filter(pk=failed.pk).update(**yesterday)
    make_transfer(owner, store, bucket=bucket, key="reports/today.csv", all_received=True, phase=Phase.FAILED, **ERROR)
    for number in range(4):
        make_transfer(
            owner, store, bucket=bucket, key=f"done/{number}.bin", sent=10, all_received=True, phase=Phase.DONE
        )
    make_transfer(owner, store, bucket=bucket, key="paused.bin", sent=1, desired_state=DesiredState.PAUSE)
    _operations(owner, store, bucket)


def _operations(owner: User, store: Store, bucket: str) -> None:
    for kind, states in (
        (OperationKind.ABORT, [ItemState.DONE] * 3),
        (OperationKind.COMPLETE, [ItemState.FAILED]),
        (OperationKind.ABORT, [ItemState.DONE, ItemState.FAILED]),
    ):
        operation = Operation.objects.create(kind=kind, actor=owner, store=store, bucket=bucket)
        for number, state in enumerate(states):
            error = ERROR if state == ItemState.FAILED else {}
            OperationItem.objects.create(
                operation=operation, key=f"item-{number}.bin", upload_id=f"u-{number}", state=state, **error
            )
    for number in range(3):
        waiting = Operation.objects.create(kind=OperationKind.ABORT, actor=owner, store=store, bucket=bucket)
        # Not due for a day: no worker takes it.
        later = timezone.now() + timedelta(days=1)
        key = f"waits-{number}.bin"
        OperationItem.objects.create(
            operation=waiting, key=key, upload_id=f"w-{number}", active_key=f"{bucket}/{key}", not_before=later
        )
    StoreCheck.objects.create(store=store, bucket=bucket, actor=owner, state=ItemState.DONE)
