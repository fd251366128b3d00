"""Numbers in the active language. Django's number_format takes ten times as long, which pages of 1,000 rows show."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from django.utils.formats import get_format
from django.utils.translation import get_language


class Count(int):
    """A number that texts show with the thousands separators of the language, and that still chooses the plural."""

    def __str__(self) -> str:
        return count_text(self)


class _Separators(NamedTuple):
    decimal: str
    thousands: str


def count_text(number: int) -> str:
    """A whole number: 10,000."""
    return format(int(number), ",").replace(",", _separators(get_language()).thousands)


def decimal_text(value: float, digits: int) -> str:
    """A number below 1,000 with this many digits after the decimal point."""
    return format(value, f".{digits}f").replace(".", _separators(get_language()).decimal)


@cache
def _separators(language: str | None) -> _Separators:
    return _Separators(
        get_format("DECIMAL_SEPARATOR", language, use_l10n=True),
        get_format("THOUSAND_SEPARATOR", language, use_l10n=True),
    )
