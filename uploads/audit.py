"""Writing the audit log. Call it inside the transaction of the change that it records.

A new action needs a text in `dashboard/shared/messages/audit.py`.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import User

from uploads.models import AuditEntry, Operation, OperationItem, Store, Transfer
from uploads.problems import Problem

SYSTEM = "partway"
"""The name of the actor if Partway acts by itself."""


def record(
    actor: User | None,
    action: str,
    *,
    store: str = "",
    bucket: str = "",
    key: str = "",
    upload_id: str = "",
    transfer_id: uuid.UUID | None = None,
    operation_id: uuid.UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add one row. `action` is `<thing>.<what>`, such as `abort.ordered` or `transfer.done`."""
    AuditEntry.objects.create(
        actor=actor,
        actor_name=actor.get_username() if actor else SYSTEM,
        action=action,
        store=store,
        bucket=bucket,
        key=key,
        upload_id=upload_id,
        transfer_id=transfer_id,
        operation_id=operation_id,
        detail={name: _as_json(value) for name, value in (detail or {}).items()},
    )


def _as_json(value: Any) -> Any:
    """Problems are kept as codes with parameters."""
    return value.as_json() if isinstance(value, Problem) else value


def record_transfer(actor: User | None, action: str, transfer: Transfer, **detail: Any) -> None:
    record(
        actor,
        f"transfer.{action}",
        store=transfer.store.name,
        bucket=transfer.bucket,
        key=transfer.key,
        transfer_id=transfer.pk,
        detail=detail,
    )


def record_store(actor: User | None, action: str, store: Store, **detail: Any) -> None:
    record(actor, f"store.{action}", store=store.name, detail=detail)


def record_item(actor: User | None, action: str, operation: Operation, item: OperationItem, **detail: Any) -> None:
    record(
        actor,
        f"{operation.kind}.{action}",
        store=operation.store.name,
        bucket=operation.bucket,
        key=item.key,
        upload_id=item.upload_id,
        operation_id=operation.pk,
        detail=detail,
    )
