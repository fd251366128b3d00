"""The order of a list, and the places in it where pages begin."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Field, Model, Q

LARGEST = 2**63


class BadCursor(ValueError):
    """The cursor is not one of this order."""


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows: after the one with this value and primary key, or before it."""

    value: Any
    pk: Any
    is_before: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """By a column that is never NULL, then by the primary key, in the same direction."""

    model: type[Model]
    column: str
    descends: bool

    def columns(self, backwards: bool = False) -> tuple[str, str]:
        sign = "-" if self.descends ^ backwards else ""
        return f"{sign}{self.column}", f"{sign}pk"

    def segments(self, place: Place | None) -> Iterator[Q]:
        """The ranges of an index that follow a place, or precede it if it `is_before`, nearest first."""
        if place is None:
            yield Q()
            return
        beyond = "lt" if self.descends ^ place.is_before else "gt"
        yield Q(**{self.column: place.value, f"pk__{beyond}": place.pk})
        yield Q(**{f"{self.column}__{beyond}": place.value})

    def key_of(self, row: Model) -> tuple[Any, Any]:
        return getattr(row, self.column), row.pk

    def place_of(self, row: Model, *, is_before: bool = False) -> Place:
        return Place(*self.key_of(row), is_before)

    def write(self, place: Place) -> str:
        """A place as a cursor. It says no more than the row that it names."""
        value = place.value.isoformat() if isinstance(place.value, datetime) else place.value
        pk = place.pk if isinstance(place.pk, int) else str(place.pk)
        packed = json.dumps([self.column, self.descends, place.is_before, value, pk], ensure_ascii=False)
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    def read(self, cursor: str) -> Place:
        """The place that `write` wrote. Raises BadCursor for anything else, and for the cursor of another order."""
        try:
            packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            column, descends, is_before, value, pk = json.loads(packed.decode())
            if (column, descends) != (self.column, self.descends) or not isinstance(is_before, bool):
                raise BadCursor(cursor)
            return Place(self._read(self.column, value), self._read(self.model._meta.pk.name, pk), is_before)
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, ValidationError):
            raise BadCursor(cursor) from None

    def _read(self, column: str, value: object) -> object:
        field = self.model._meta.get_field(column)
        assert isinstance(field, Field)
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise BadCursor(str(value))
        if isinstance(value, str):
            value.encode()  # A lone surrogate is no text.
            if "\0" in value:
                raise BadCursor(value)
        found = field.to_python(value)
        if isinstance(field, DateTimeField) and (not isinstance(found, datetime) or found.tzinfo is None):
            raise BadCursor(str(value))
        if isinstance(found, int) and not -LARGEST <= found < LARGEST:
            raise BadCursor(str(value))
        return found
