"""Leased work: its kinds, and which process may work on a row now.

Only the holder of the token can write the result of the work.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from uploads.database.prepared import First, Given, Update
from uploads.domain.states import Transitions
from uploads.models.work import WorkFields
from uploads.services.work.transitions import change, prepared_change

Row = TypeVar("Row", bound=WorkFields)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[Row]):
    """A model whose rows are worked on under a lease.

    `waiting` and `running` are the states of a row without and with a lease. A kind without them keeps the state of
    its rows while it works on them, and its rows need work until they are in a final state.
    `on_take` and `on_return` are further columns that change when a lease is taken, and when it is returned unfinished.
    `related` names the rows that are loaded with a row for the work. `facts` are what log records say about a row.
    `resume` enqueues a row that was deferred, after so many seconds. `give_up` ends a row as failed, with the columns
    of its error. The watchdog calls `worker_lost` for a row whose lease has expired, and `dispatch_due` with a limit,
    which dispatches at most so many rows (or the owners of rows) that wait, and returns how many.
    """

    name: str
    model: type[Row]
    table: Transitions[Any]
    waiting: StrEnum | None = None
    running: StrEnum | None = None
    on_take: Mapping[str, Any] = field(default_factory=dict)
    on_return: Mapping[str, Any] = field(default_factory=dict)
    related: tuple[str, ...] = ()
    facts: Callable[[Row], dict[str, object]]
    resume: Callable[[Row, float], None]
    give_up: Callable[[Lease[Row], dict[str, Any]], None]
    worker_lost: Callable[[Lease[Row]], object]
    dispatch_due: Callable[[int], int] = lambda _limit: 0

    @property
    def rows(self) -> QuerySet[Row]:
        return self.model._default_manager.all()

    def waiting_rows(self) -> QuerySet[Row]:
        """The rows that need work and that no process works on."""
        if self.waiting is not None:
            return self.rows.filter(**{self.table.field: self.waiting.value})
        return self.rows.filter(free()).exclude(**{f"{self.table.field}__in": self.table.final})

    def expired_rows(self) -> QuerySet[Row]:
        """The rows whose lease has expired: the process that held it has died, or is cut off."""
        rows = self.rows.filter(lease_until__lt=timezone.now())
        if self.running is not None:
            return rows.filter(**{self.table.field: self.running.value})
        # The token is in the condition of the index of leased rows. The deadline is not: each renewal changes it.
        return rows.filter(lease_token__isnull=False).exclude(**{f"{self.table.field}__in": self.table.final})


def free(now: datetime | Given | None = None) -> Q:
    """Rows without a lease."""
    return Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now() if now is None else now)


def due(now: datetime | Given | None = None) -> Q:
    """Rows that are not deferred after a failed attempt."""
    return Q(not_before__isnull=True) | Q(not_before__lte=timezone.now() if now is None else now)


LOOKS = 10
"""How often a row is read whose lease may have been taken, while the database fails."""

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
    """The right to work on `row`. Every write goes through a filter on the token.

    `is_loaded`: the row was read with its related rows.
    """

    kind: Kind[Row]
    row: Row
    token: uuid.UUID
    is_loaded: bool = False

    def rows(self) -> QuerySet[Row]:
        """The row, while the lease is held."""
        rows = self.kind.rows.filter(pk=self.row.pk, lease_token=self.token)
        return rows if self.kind.running is None else rows.filter(**{self.kind.table.field: self.kind.running.value})

    def load(self) -> Lease[Row]:
        """The same lease with the related rows. If `take` could not read them, this raises why."""
        return self if self.is_loaded else replace(self, row=_with_related(self.kind, self.row.pk), is_loaded=True)

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
    return _take_with(kind, pk, lambda token: _take(kind, rows.filter(due(), pk=pk), token))


class Take(Generic[Row]):
    """`take` with a statement that is built once, for work that is done very often, of a kind with a state for it.

    `ready` are the rows that may be taken, with `Given` in place of values, which `given` returns for each call.
    """

    def __init__(
        self, kind: Kind[Row], ready: Callable[[], QuerySet[Row]], given: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._kind = kind
        self._given = given
        self._statement = _prepared_take(
            kind, lambda: _due_when_taken(kind, ready()).filter(pk=Given(kind.model, "id"))
        )

    def __call__(self, pk: object) -> Lease[Row] | None:
        return _take_with(self._kind, pk, lambda token: self._execute(pk, token))

    def _execute(self, pk: object, token: uuid.UUID) -> int:
        return self._statement(id=pk, **_when_taking(token), **self._given())


def _prepared_take(kind: Kind[Row], rows: Callable[[], QuerySet[Row]]) -> Update:
    """The statement of `_take`, built once, for a kind with a state for it. Each call gives it `_when_taking`."""
    leased = partial(_leased, kind, Given(kind.model, "lease_token"), Given(kind.model, "lease_until"))
    return prepared_change(kind.table, rows, kind.running, {kind.waiting}, leased)


def _due_when_taken(kind: Kind[Row], rows: QuerySet[Row]) -> QuerySet[Row]:
    return rows.filter(due(Given(kind.model, "not_before", "now")))


def _when_taking(token: uuid.UUID) -> dict[str, Any]:
    return {"now": timezone.now(), "lease_token": token, "lease_until": deadline()}


def _take_with(kind: Kind[Row], pk: object, execute: Callable[[uuid.UUID], int]) -> Lease[Row] | None:
    """Execute the statement that takes the lease of a row with this token."""
    token = uuid.uuid4()
    try:
        return _read(kind, pk, token) if execute(token) else None
    except OperationalError:
        row = _taken_with(kind, pk, token)
        if row is None:
            raise
        return Lease(kind, row, token)


def take_many(kind: Kind[Row], rows: QuerySet[Row], pks: Sequence[object]) -> list[Lease[Row]]:
    """Take the leases of those of these rows that `take` would take, with one token, in the order of `pks`.

    Rows that another process changes now are left out. The related rows are loaded once, however many rows have them.
    """
    order = {pk: place for place, pk in enumerate(pks)}
    chosen = rows.filter(due(), pk__in=_unlocked(kind.rows.filter(pk__in=pks).order_by()))
    taken = _take_together(kind, lambda token: _take(kind, chosen, token), Q(pk__in=pks), _read_many)
    return sorted(taken, key=lambda lease: order[lease.row.pk])


class TakeNext(Generic[Row]):
    """As `take_many`, for at most `count` of `rows` that wait, in the order of their ids, without the related rows.

    They are found and taken by one statement, so that processes which ask at once get different ones. It is built once:
    `rows` has `Given` in place of values, which each call gives. `taken` is a condition with an index that the rows
    meet once they are taken.
    """

    def __init__(self, kind: Kind[Row], rows: Callable[[], QuerySet[Row]], count: int) -> None:
        self._kind = kind
        self._count = count
        self._rows = rows
        self._statement = _prepared_take(kind, self._next)

    def _next(self) -> QuerySet[Row]:
        due_rows = _due_when_taken(self._kind, self._rows())
        waiting = due_rows.filter(**{self._kind.table.field: self._kind.waiting}).order_by("pk")[: self._count]
        return due_rows.filter(pk__in=_unlocked(waiting))

    def __call__(self, taken: Q, **given: Any) -> list[Lease[Row]]:
        def execute(token: uuid.UUID) -> int:
            return self._statement(**_when_taking(token), **given)

        found = _take_together(self._kind, execute, taken, _read_alone)
        return sorted(found, key=lambda lease: lease.row.pk)


def _unlocked(rows: QuerySet[Row]) -> QuerySet[Any, Any]:
    """The keys of those that no other process changes now.

    PostgreSQL: two processes that lock the same rows in a different order would wait for each other.
    """
    return rows.select_for_update(skip_locked=True).values("pk")


Read = Callable[[Kind[Row], QuerySet[Row], uuid.UUID], list[Lease[Row]]]


def _take_together(kind: Kind[Row], execute: Callable[[uuid.UUID], int], taken: Q, read: Read[Row]) -> list[Lease[Row]]:
    """Take the leases of rows with one token, by a statement that is executed with it and returns their number."""
    token = uuid.uuid4()
    mine = kind.rows.filter(taken, lease_token=token)
    try:
        with transaction.atomic():
            count = execute(token)
        return read(kind, mine, token) if count else []
    except OperationalError:
        found = _when_possible(lambda: _read_alone(kind, mine, token)) or []
        if not found:
            raise
        return found


def _read_alone(kind: Kind[Row], taken: QuerySet[Row], token: uuid.UUID) -> list[Lease[Row]]:
    """The leases without the related rows."""
    return [Lease(kind, row, token) for row in taken]


def _read_many(kind: Kind[Row], taken: QuerySet[Row], token: uuid.UUID) -> list[Lease[Row]]:
    """The leases with the related rows. If one of these cannot be read, all without them: each is loaded alone."""
    try:
        return [Lease(kind, row, token, is_loaded=True) for row in taken.prefetch_related(*kind.related)]
    except OperationalError:
        raise
    except Exception:
        return _read_alone(kind, taken, token)


def _read(kind: Kind[Row], pk: object, token: uuid.UUID) -> Lease[Row]:
    """The lease with the related rows. If these cannot be read, the failure has to be recorded: then without them."""
    try:
        return Lease(kind, _with_related(kind, pk), token, is_loaded=True)
    except OperationalError:
        raise
    except Exception:
        return Lease(kind, kind.rows.get(pk=pk), token)


def _with_related(kind: Kind[Row], pk: object) -> Row:
    row: Row | None = _loading(kind.model, kind.related)(id=pk)
    if row is None:
        raise kind.model.DoesNotExist
    return row


@cache
def _loading(model: type[Any], related: tuple[str, ...]) -> First[Any]:
    rows = model._default_manager.order_by().filter(pk=Given(model, "id"))
    return First(model, lambda: rows.select_related(*related) if related else rows)


def take_in_state(
    kind: Kind[Row], rows: QuerySet[Row], row: Row, to: StrEnum, since: StrEnum, **changes: Any
) -> Lease[Row] | None:
    """Change the state of a row and take its lease at once, if it is among `rows`, free, due and not enqueued.

    `row` was loaded with its related rows, and gets the changes.
    """
    token = uuid.uuid4()
    changes |= {"lease_token": token, "lease_until": deadline()}
    idle = rows.filter(free(), due(), pk=row.pk, queued_at__isnull=True)
    if not change(kind.table, idle, to, {since}, **changes):
        return None
    for name, value in {**changes, kind.table.field: to.value}.items():
        setattr(row, name, value)
    return Lease(kind, row, token, is_loaded=True)


def _taken_with(kind: Kind[Row], pk: object, token: uuid.UUID) -> Row | None:
    """The row, if it was taken although the connection broke. Nobody else knows the token, so the lease would expire.

    Each attempt waits for the database.
    """
    return _when_possible(kind.rows.filter(pk=pk, lease_token=token).first)


def _when_possible(look: Callable[[], Found]) -> Found | None:
    for _ in range(LOOKS):
        with suppress(OperationalError):
            return look()
    return None


def _take(kind: Kind[Row], rows: QuerySet[Row], token: uuid.UUID) -> int:
    leased = _leased(kind, token, deadline())
    if kind.running is None:
        return rows.filter(free()).update(**leased)
    return change(kind.table, rows, kind.running, {kind.waiting}, **leased)


def _leased(kind: Kind[Any], token: uuid.UUID | Given, until: datetime | Given) -> dict[str, Any]:
    """The columns of a row whose lease is taken."""
    return {"lease_token": token, "lease_until": until, "queued_at": None, **kind.on_take}


def take_over(kind: Kind[Row], pk: object) -> Lease[Row] | None:
    """Take the lease of a row from a worker that has let it expire; None if it has not, or if another process has."""
    token = uuid.uuid4()
    taken = kind.expired_rows().filter(pk=pk).update(lease_token=token, lease_until=deadline())
    return Lease(kind, kind.rows.get(pk=pk), token) if taken else None


def give_back(kind: Kind[Row], rows: QuerySet[Row], **changes: Any) -> int:
    """Have rows under a lease wait for work again; the number of rows."""
    returned = {**kind.on_return, **RELEASED, **changes}
    if kind.waiting is None:
        return rows.update(**returned)
    return change(kind.table, rows, kind.waiting, {kind.running}, **returned)
