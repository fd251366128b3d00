"""What a list declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.http import HttpRequest

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

Choices = Sequence[tuple[str, Any]]
"""Values of a parameter, and their texts."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list. `sort` is the column of the database by which its heading sorts; '': it does not.

    `is_fixed`: it cannot be hidden. `is_extra`: it is hidden until it is chosen.
    """

    name: str
    label: StrPromise
    sort: str = ""
    classes: str = ""
    largest_first: bool = False
    is_fixed: bool = False
    is_extra: bool = False


class Kind(Enum):
    """How a filter is set: by a field of the form, or for LINKS by links that the page has besides."""

    LINKS = auto()
    TEXT = auto()
    MONO = auto()
    CHOICE = auto()
    DAY = auto()
    TIME = auto()


@dataclass(frozen=True, slots=True)
class Filter:
    """A parameter that filters. `choices` of a CHOICE may depend on the user.

    `is_closed`: other values are refused. Otherwise the form also offers the value that is given. `is_folded`: the form
    unfolds for it.
    """

    name: str
    label: StrPromise
    kind: Kind = Kind.TEXT
    choices: Callable[[HttpRequest], Choices] | None = None
    is_closed: bool = False
    is_folded: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done with the selected rows, and with all that match. The name is sent as `step`."""

    name: str
    label: StrPromise
    label_for_all: StrPromise
    icon: str


def days_from_to(first: date, last: date | None) -> Mapping[str, str]:
    """The filters for the days from the first to the last; None: without an end."""
    return {"from": first.isoformat(), "to": last.isoformat() if last else ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSpec:
    """`name` is that of the list's URL. `url_of_actions` is the name of the URL that gets the selection.

    `days` are the filters for some days.
    """

    name: str
    model: type[Model]
    columns: Sequence[Column]
    filters: Sequence[Filter]
    default_sort: str
    actions: Sequence[Action] = ()
    url_of_actions: str = ""
    page_size: int = 50
    days: Callable[[date, date | None], Mapping[str, str]] = days_from_to

    def column(self, name: str) -> Column:
        return next(each for each in self.columns if each.name == name)

    @property
    def sorts(self) -> tuple[str, ...]:
        """The values of `sort`."""
        return tuple(f"{sign}{each.name}" for each in self.columns if each.sort for sign in ("", "-"))
