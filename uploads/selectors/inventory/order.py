"""The order of a page of the inventory, and the places in it where pages begin: keyset pages in both directions.

An upload whose value is not known is last in both directions, so that the order has two sections. What follows a place
is up to three segments of the index, each of them one range: the rest of the same value, the values beyond, and those
that are not known.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Func, Q, Value
from django.db.models.lookups import GreaterThan, LessThan

from uploads.domain.inventory_filter import Sort
from uploads.models import InventoryUpload

COLUMNS = {
    Sort.BYTES: "bytes",
    Sort.AGE: "started_at",
    Sort.IDLE: "active_at",
    Sort.PARTS: "parts",
    Sort.KEY: "key",
}
NULLABLE = frozenset({"bytes", "parts"})
TIMES = frozenset({"started_at", "active_at"})
"""The oldest have the earliest time: the order of ages is the reverse of that of the column."""


class BadCursor(ValueError):
    """The cursor is not one of this order."""


@dataclass(frozen=True, slots=True)
class Place:
    """Between two uploads: after the one with this value and id, or before it."""

    value: Any
    pk: int
    is_before: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of the index. `has_one_value`: all of its uploads have the same value in the column of the order."""

    condition: Q
    has_one_value: bool = False


class Pair(Func):
    """A row value: PostgreSQL finds what is less than one by an index of both columns."""

    template = "(%(expressions)s)"
    output_field = BooleanField()


@dataclass(frozen=True, slots=True)
class Order:
    sort: Sort
    largest_first: bool

    @property
    def column(self) -> str:
        return COLUMNS[self.sort]

    def _descends(self, backwards: bool) -> bool:
        return self.largest_first ^ (self.column in TIMES) ^ backwards

    def columns(self, backwards: bool = False) -> tuple[str, str]:
        """What to order by; the id makes the order unique."""
        sign = "-" if self._descends(backwards) else ""
        return f"{sign}{self.column}", f"{sign}id"

    def segments(self, place: Place | None) -> Iterator[Segment]:
        """The ranges of the index that follow a place, or precede it if it `is_before`, nearest first."""
        column = self.column
        known, unknown = Q(**{f"{column}__isnull": False}), Q(**{f"{column}__isnull": True})
        backwards = place is not None and place.is_before
        beyond = "lt" if self._descends(backwards) else "gt"
        if place is None:
            yield Segment(known if column in NULLABLE else Q())
        elif place.value is None:
            yield Segment(unknown & Q(**{f"id__{beyond}": place.pk}))
            if backwards:
                yield Segment(known)
            return
        else:
            yield Segment(self._rest_of_value(place, beyond), has_one_value=True)
            yield Segment(Q(**{f"{column}__{beyond}": place.value}))
        if column in NULLABLE and not backwards:
            yield Segment(unknown)

    def _rest_of_value(self, place: Place, beyond: str) -> Q:
        """The uploads beyond a place that have its value.

        Of uploads with one value, PostgreSQL knows that the order is that of the ids. It may then read all ids, and
        leave out those with other values. Of a range it does not know that. SQLite would begin at the end of the range.
        """
        column = self.column
        if connection.vendor != "postgresql":
            return Q(**{column: place.value, f"id__{beyond}": place.pk})
        compares, within = (LessThan, "gte") if beyond == "lt" else (GreaterThan, "lte")
        is_beyond = compares(Pair(column, "id"), Pair(Value(place.value), Value(place.pk)))
        return Q(**{f"{column}__{within}": place.value}) & Q(is_beyond)

    def place_of(self, row: InventoryUpload, *, is_before: bool = False) -> Place:
        return Place(getattr(row, self.column), row.pk, is_before)

    def write(self, place: Place) -> str:
        """A place as a cursor. It says no more than the row that it names."""
        value = place.value.isoformat() if isinstance(place.value, datetime) else place.value
        packed = json.dumps([self.sort, self.largest_first, int(place.is_before), value, place.pk], ensure_ascii=False)
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    def read(self, cursor: str) -> Place:
        """The place that `write` wrote. Raises BadCursor for anything else, and for the cursor of another order."""
        try:
            packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            sort, largest_first, is_before, value, pk = json.loads(packed.decode())
            valid = (sort, largest_first) == (self.sort.value, self.largest_first) and is_before in (0, 1)
            if not (valid and _is_id(pk)):
                raise BadCursor(cursor)
            return Place(self._value(value), pk, bool(is_before))
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
            raise BadCursor(cursor) from None

    def _value(self, value: object) -> object:
        if self.column in TIMES and isinstance(value, str):
            at = datetime.fromisoformat(value)
            if at.tzinfo is not None:
                return at
        elif self.column == "key" and isinstance(value, str) and "\0" not in value:
            value.encode()
            return value
        elif self.column in NULLABLE and (value is None or _is_id(value)):
            return value
        raise BadCursor(str(value))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
