"""Leases: which process may work on a row now. Only the holder of the token can write the result of the work."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from uploads.services.work.kinds import Kind, Row, due, free
from uploads.services.work.transitions import change

RELEASED: dict[str, Any] = {"lease_token": None, "lease_until": None, "queued_at": None}
"""Columns of a row without a lease."""

SUCCEEDED: dict[str, Any] = {"tries": 0, "failing_since": None, "not_before": None}
"""Columns of a row without failed attempts."""


def in_seconds(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def deadline() -> datetime:
    """Longer than a store may stall, which the settings check: no lease expires during a request that is alive."""
    return in_seconds(settings.LEASE_SECONDS)


class LeaseLost(Exception):
    """The lease expired, and another worker may hold it: this one must not write anything more."""


@dataclass(frozen=True, slots=True)
class Lease(Generic[Row]):
    """The right to work on `row`. Every write goes through a filter on the token."""

    kind: Kind[Row]
    row: Row
    token: uuid.UUID

    def rows(self) -> QuerySet[Row]:
        """The row, while the lease is held."""
        rows = self.kind.rows.filter(pk=self.row.pk, lease_token=self.token)
        return rows if self.kind.running is None else rows.filter(**{self.kind.table.field: self.kind.running.value})

    def load(self) -> Lease[Row]:
        """The same lease with the related rows. `take` does not load them, because that may fail."""
        return replace(self, row=self.kind.rows.select_related(*self.kind.related).get(pk=self.row.pk))

    def renew(self, *conditions: Q, **changes: Any) -> None:
        """Extend the lease and write `changes`, if the row meets the conditions. Raises LeaseLost."""
        if not self.rows().filter(*conditions).update(lease_until=deadline(), **changes):
            raise LeaseLost

    def release(self, **changes: Any) -> bool:
        """Return the row so that it is worked on again. False if the lease was lost."""
        return bool(give_back(self.kind, self.rows(), **changes))

    def end(self, state: StrEnum, **changes: Any) -> bool:
        """Write the result of the work. False if the lease was lost."""
        return bool(change(self.kind.table, self.rows(), state, **{**RELEASED, **changes}))


def take(kind: Kind[Row], rows: QuerySet[Row], pk: object) -> Lease[Row] | None:
    """Take the lease of a row if it is among `rows`, waits, and is due.

    Conditions on rows of other tables belong in `rows` as a subquery (`transfer__in`), never as a join: Django finds
    the rows of a join in a subquery, which PostgreSQL does not evaluate again after it has waited for the lock of a
    row that another process has updated. Two processes would then take the same row.
    """
    token = uuid.uuid4()
    held = {"lease_token": token, "lease_until": deadline(), "queued_at": None, **kind.on_take}
    rows = rows.filter(due(), pk=pk)
    if kind.running is None:
        taken = rows.filter(free()).update(**held)
    else:
        taken = change(kind.table, rows, kind.running, {kind.waiting}, **held)
    return Lease(kind, kind.rows.get(pk=pk), token) if taken else None


def give_back(kind: Kind[Row], rows: QuerySet[Row], **changes: Any) -> int:
    """Have rows under a lease wait for work again; the number of rows."""
    returned = {**kind.on_return, **RELEASED, **changes}
    if kind.waiting is None:
        return rows.update(**returned)
    return change(kind.table, rows, kind.waiting, {kind.running}, **returned)
