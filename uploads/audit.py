"""Writing the audit log. Call it inside the transaction of the change that it records.

A new action needs a text in `dashboard/shared/messages/audit.py`. Where a request came from is not passed: it is the
`origin` around the call, or that of the request whose outcome is recorded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

from django.contrib.auth.models import User
from django.db.models import QuerySet

from uploads.database.prepared import Insert, InsertMany
from uploads.models import AuditEntry, Operation, OperationItem, Store, Transfer
from uploads.models.audit import Outcome
from uploads.origin import Means, current, origin
from uploads.problems import Problem

__all__ = [
    "SYSTEM",
    "Means",
    "Outcome",
    "entry_of_transfer",
    "origin",
    "place_of",
    "record",
    "record_ends",
    "record_item",
    "record_items",
    "record_store",
    "record_transfer",
    "record_transfers",
    "save",
]

P = ParamSpec("P")

SYSTEM = "partway"
"""The name of the actor if Partway acts by itself."""

_INSERT = Insert(AuditEntry)
_INSERT_MANY = InsertMany(AuditEntry)

OUTCOMES = {each.value: each for each in Outcome}

NOT_DONE = frozenset({"spared", "left"})
"""How items of operations end whose request was not sent."""

ENDS: Mapping[str, tuple[str, ...]] = {
    "transfer.done": ("transfer.begun", "transfer.retried"),
    "transfer.failed": ("transfer.begun", "transfer.retried"),
    "transfer.cancelled": ("transfer.cancel-ordered",),
}
"""Outcomes of a transfer, and the steps that may have requested them."""


def _entry(
    actor: User | None,
    action: str,
    *,
    actor_name: str = "",
    store: str = "",
    bucket: str = "",
    key: str = "",
    upload_id: str = "",
    transfer_id: uuid.UUID | None = None,
    operation_id: uuid.UUID | None = None,
    request_id: str = "",
    outcome: Outcome | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
    ordered: AuditEntry | None = None,
) -> AuditEntry:
    """A row that is not saved yet. `action` is `<thing>.<what>`, such as `abort.ordered` or `transfer.done`.

    `actor_name` is for those who are not (yet) users. `outcome` is that of the last word of the action, or `done`.
    `ordered` is the entry with the request whose outcome this is: the row takes over where it came from.
    """
    came_from = ordered if ordered and actor else current()
    details = _as_json(detail)
    return AuditEntry(
        actor=actor,
        actor_name=actor.get_username() if actor else actor_name[:150] or SYSTEM,
        address=came_from.address,
        means=came_from.means,
        token=came_from.token,
        action=action,
        thing=action.partition(".")[0],
        outcome=outcome or OUTCOMES.get(action.rpartition(".")[2].rpartition("-")[2], Outcome.DONE),
        ordered_id=ordered.pk if ordered else None,
        store=store,
        bucket=bucket,
        key=key,
        upload_id=upload_id,
        transfer_id=transfer_id,
        operation_id=operation_id,
        request_id=(request_id or _request_id_in(details))[:200],
        before=_as_json(before),
        after=_as_json(after),
        detail=details,
    )


def _saved(entry: Callable[P, AuditEntry]) -> Callable[P, AuditEntry]:
    def save(*args: P.args, **kwargs: P.kwargs) -> AuditEntry:
        return _INSERT(entry(*args, **kwargs))

    return save


record = _saved(_entry)
"""Add one row; the parameters are those of `_entry`."""


def _as_json(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Problems are kept as codes with parameters."""
    return {name: value.as_json() if isinstance(value, Problem) else value for name, value in (values or {}).items()}


def _request_id_in(details: Mapping[str, Any]) -> str:
    """The store's request id of a recorded error, or of the outcome of an operation."""
    outcome = details.get("outcome")
    places = (details, outcome if isinstance(outcome, dict) else {})
    found = (place.get(name) for place in places for name in ("error_request_id", "request_id"))
    return next((each for each in found if isinstance(each, str) and each), "")


def place_of(transfer_id: uuid.UUID | None, operation_id: uuid.UUID | None) -> dict[str, str]:
    """The store, bucket and key of a transfer or an operation; empty if there is no such row."""
    row: Transfer | Operation | None = None
    if transfer_id is not None:
        row = Transfer.objects.select_related("store").filter(pk=transfer_id).first()
    elif operation_id is not None:
        row = Operation.objects.select_related("store").filter(pk=operation_id).first()
    if row is None:
        return {}
    return {"store": row.store.name, "bucket": row.bucket, "key": row.key if isinstance(row, Transfer) else ""}


def record_transfer(
    actor: User | None,
    action: str,
    transfer: Transfer,
    *,
    upload_id: str = "",
    request_id: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    **detail: Any,
) -> None:
    name = f"transfer.{action}"
    record(
        actor,
        name,
        **_place_of(transfer),
        upload_id=upload_id,
        request_id=request_id,
        before=before,
        after=after,
        detail=detail,
        ordered=_ordered_by(name, transfer_id=transfer.pk) if name in ENDS else None,
    )


def record_transfers(actor: User | None, action: str, transfers: Mapping[Transfer, Mapping[str, Any]]) -> None:
    """The same step of several transfers, each with its details: one statement. It is no outcome of another request."""
    save([entry_of_transfer(actor, action, transfer, **detail) for transfer, detail in transfers.items()])


def entry_of_transfer(actor: User | None, action: str, transfer: Transfer, **detail: Any) -> AuditEntry:
    """A row for `save`: a step of a transfer that comes from here, and that is no outcome of another request."""
    return _entry(actor, f"transfer.{action}", **_place_of(transfer), detail=detail)


def save(entries: Sequence[AuditEntry]) -> None:
    """Add rows that may have come from several requests: one statement."""
    _INSERT_MANY(entries)


def record_ends(action: str, transfers: Mapping[Transfer, Mapping[str, Any]]) -> None:
    """Record for several transfers, each with its details, that they have ended by themselves: two statements."""
    name = f"transfer.{action}"
    rows = _requests_of(name).filter(transfer_id__in=[transfer.pk for transfer in transfers])
    ordered = {entry.transfer_id: entry for entry in rows.only(*CAME_FROM, "transfer_id").order_by("id")}
    _INSERT_MANY(
        [
            _entry(None, name, **_place_of(transfer), detail=detail, ordered=ordered.get(transfer.pk))
            for transfer, detail in transfers.items()
        ]
    )


def _place_of(transfer: Transfer) -> dict[str, Any]:
    place = {"store": transfer.store.name, "bucket": transfer.bucket, "key": transfer.key}
    return {**place, "transfer_id": transfer.pk}


def record_store(
    actor: User | None,
    action: str,
    store: Store,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    **detail: Any,
) -> None:
    record(actor, f"store.{action}", store=store.name, before=before, after=after, detail=detail)


def record_item(actor: User | None, action: str, operation: Operation, item: OperationItem, **detail: Any) -> None:
    record_items(actor, action, operation, {item: detail})


def record_items(
    actor: User | None, action: str, operation: Operation, details: Mapping[OperationItem, Mapping[str, Any]]
) -> None:
    """Record the same of several items of an operation, each with its details: two statements."""
    name = f"{operation.kind}.{action}"
    ordered = {} if action == Outcome.ORDERED else _requests_of_items(name, operation, list(details))
    entries = [
        _entry(
            actor,
            name,
            store=operation.store.name,
            bucket=operation.bucket,
            key=item.key,
            upload_id=item.upload_id,
            operation_id=operation.pk,
            detail=detail,
            ordered=ordered.get((item.key, item.upload_id)),
            outcome=Outcome.REFUSED if action in NOT_DONE else None,
        )
        for item, detail in details.items()
    ]
    _INSERT_MANY(entries)


def _requests_of_items(
    action: str, operation: Operation, items: Sequence[OperationItem]
) -> dict[tuple[str, str], AuditEntry]:
    """By key and upload id, the last entry that requested what this action ends."""
    ids = [item.upload_id for item in items]
    rows = _requests_of(action).filter(operation_id=operation.pk, upload_id__in=ids)
    found = rows.only(*CAME_FROM, "key", "upload_id").order_by("id")
    return {(entry.key, entry.upload_id): entry for entry in found}


def _ordered_by(action: str, **subject: Any) -> AuditEntry | None:
    """The last entry that requested what this action ends."""
    return _requests_of(action).only(*CAME_FROM).filter(**subject).order_by("-id").first()


CAME_FROM = ("address", "means", "token")


def _requests_of(action: str) -> QuerySet[AuditEntry]:
    """The entries with requests that may have led to this action."""
    requests = ENDS.get(action, (f"{action.partition('.')[0]}.ordered",))
    return AuditEntry.objects.filter(ordered_id=None, action__in=requests)
