"""Rows of work that failed, paused or waits. Run in a process of the stack; the pages of the rows are printed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from tests.dashboard.make_transfer import make_transfer
from uploads.domain.states import DesiredState, ItemState, OperationKind, Phase
from uploads.models import Operation, OperationItem, Store, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code

ERROR: dict[str, Any] = {
    "error_code": "AccessDenied",
    "error_reason": Reason.PERMISSION,
    "error_params": {"operation": "UploadPart"},
}

TIMED_OUT = {"error_code": "Timeout", "error_reason": Reason.TIMEOUT}


def create(store_name: str, bucket: str) -> list[str]:
    """Create stores that are unreachable, disabled and silent, and work that failed; the paths of the work's pages.

    Several modules of tests may do so in one installation: the stores are made once.
    """
    owner, store = User.objects.get(username="admin"), Store.objects.get(name=store_name)
    settings: dict[str, Any] = {
        "endpoint_url": "http://127.0.0.1:9",
        "provider": "generic",
        "access_key": "k",
        "secret_key": "s",
    }
    Store.objects.update_or_create(name="gone", defaults=settings)
    Store.objects.update_or_create(name="disabled-store", defaults=settings | {"enabled": False})
    silence = {"timeouts": 3, "silent_since": timezone.now(), **TIMED_OUT}
    silent, _ = Store.objects.update_or_create(name="frozen", defaults=settings | silence)
    transfers = [
        make_transfer(owner, store, bucket=bucket, sent=2, staged=1, phase=Phase.FAILED, **ERROR),
        make_transfer(owner, store, bucket=bucket, sent=1, phase=Phase.RECEIVING, desired_state=DesiredState.PAUSE),
        make_transfer(owner, store, bucket=bucket, phase=Phase.CANCELLED),
    ]
    waiting = Operation.objects.create(kind=OperationKind.ABORT, actor=owner, store=silent, bucket=bucket)
    # Not due for a day: no worker takes it.
    later = timezone.now() + timedelta(days=1)
    OperationItem.objects.create(operation=waiting, key="waits", upload_id="upload", not_before=later)
    operations = [waiting]
    operations += [_operation(owner, store, bucket, kind, count) for kind in OperationKind for count in (1, 3)]
    return [*map(_transfer_page, transfers), *(reverse("operation", args=[each.pk]) for each in operations)]


def _operation(owner: User, store: Store, bucket: str, kind: OperationKind, count: int) -> Operation:
    """An operation whose items failed, for the causes that have a text of their own."""
    operation = Operation.objects.create(kind=kind, actor=owner, store=store, bucket=bucket)
    errors: list[dict[str, Any]] = [ERROR, {"error_code": Code.INTERNAL_ERROR, "error_reason": Code.INTERNAL_ERROR}, {}]
    for number, error in enumerate(errors[:count]):
        state = ItemState.FAILED if error else ItemState.DONE
        OperationItem.objects.create(
            operation=operation, key=f"failed-{number}", upload_id=f"upload-{number}", state=state, **error
        )
    return operation


def _transfer_page(transfer: Transfer) -> str:
    return reverse("transfer", args=[transfer.pk])
