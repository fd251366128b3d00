"""The kinds of leased work. Each package declares its own in `kinds.py` and registers them here.

Leases, the queue, the watchdog, the metrics and the Celery tasks derive from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db.models import Q, QuerySet
from django.utils import timezone

from uploads.domain.states import Transitions
from uploads.models.work import WorkFields

if TYPE_CHECKING:
    from uploads.services.work.leases import Lease

Row = TypeVar("Row", bound=WorkFields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[Row]):
    """A model whose rows are worked on under a lease.

    `waiting` and `running` are the states of a row without and with a lease. A kind without them keeps the state of
    its rows while it works on them, and its rows need work until they are in a final state.
    `on_take` and `on_return` are further columns that change when a lease is taken, and when it is returned unfinished.
    `related` names the rows that are loaded with a row for the work. `facts` are what log records say about a row.
    `resume` enqueues a row that was deferred, after so many seconds. `give_up` ends a row as failed, with the columns
    of its error. `dispatch_all` enqueues all rows that wait; the watchdog calls it.
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
    dispatch_all: Callable[[], None] = lambda: None

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
        return rows.exclude(**{f"{self.table.field}__in": self.table.final})


def free() -> Q:
    """Rows without a lease."""
    return Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())


def due() -> Q:
    """Rows that are not deferred after a failed attempt."""
    return Q(not_before__isnull=True) | Q(not_before__lte=timezone.now())


KINDS: dict[str, Kind[Any]] = {}
"""By name, which is also the label of the metric of lease takeovers."""


def register(kind: Kind[Row]) -> Kind[Row]:
    KINDS[kind.name] = kind
    return kind
