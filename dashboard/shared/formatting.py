"""Values as pages show them, in the active language: sizes, counts, times, ages, durations and keys.

Everything here is escaped. Rows of a long table are formatted in the view: template filters on 1,000 rows take three
times as long.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import NamedTuple

from django.utils.formats import date_format, get_format
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from dashboard.shared.numbers import Count, count_text, decimal_text
from uploads.domain.cost import Costs, Money

__all__ = ["Count", "count_text"]
"""What is defined elsewhere and used through this module."""

Plural = Callable[[int], str]
"""The form of a text for a number."""

UNITS = (
    gettext_lazy("%(number)s KiB"),
    gettext_lazy("%(number)s MiB"),
    gettext_lazy("%(number)s GiB"),
    gettext_lazy("%(number)s TiB"),
    gettext_lazy("%(number)s PiB"),
    gettext_lazy("%(number)s EiB"),
)

DAY = 86400
AGES: tuple[tuple[int, Plural, Plural], ...] = (
    (
        365 * DAY,
        lambda count: ngettext("%(count)s year ago", "%(count)s years ago", count),
        lambda count: ngettext("in %(count)s year", "in %(count)s years", count),
    ),
    (
        30 * DAY,
        lambda count: ngettext("%(count)s month ago", "%(count)s months ago", count),
        lambda count: ngettext("in %(count)s month", "in %(count)s months", count),
    ),
    (
        DAY,
        lambda count: ngettext("%(count)s day ago", "%(count)s days ago", count),
        lambda count: ngettext("in %(count)s day", "in %(count)s days", count),
    ),
    (
        3600,
        lambda count: ngettext("%(count)s hour ago", "%(count)s hours ago", count),
        lambda count: ngettext("in %(count)s hour", "in %(count)s hours", count),
    ),
    (
        60,
        lambda count: ngettext("%(count)s minute ago", "%(count)s minutes ago", count),
        lambda count: ngettext("in %(count)s minute", "in %(count)s minutes", count),
    ),
    (
        1,
        lambda count: ngettext("%(count)s second ago", "%(count)s seconds ago", count),
        lambda count: ngettext("in %(count)s second", "in %(count)s seconds", count),
    ),
)
"""The least seconds of each unit, largest first, with the texts for the past and for the future."""

PICTURES = {**{code: chr(0x2400 + code) for code in range(0x20)}, 0x7F: "\u2421"}
"""Unicode's symbols for the control characters."""

INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
"""Unicode categories of characters that are invisible, or that change the direction of the text around them."""

IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters of other categories that are drawn as nothing, or as an empty space: Default_Ignorable_Code_Point."""


CENT = Decimal("0.01")


def bytes_text(size: int) -> str:
    """`size` bytes in binary units with three significant digits: 0 bytes, 1 byte, 1.50 KiB, 153 MiB."""
    if abs(size) < 1024:
        return exact_bytes_text(size)
    value = float(size)
    for unit in UNITS:
        value /= 1024
        if abs(value) < 999.5 or unit is UNITS[-1]:
            return str(unit) % {"number": decimal_text(value, _decimals(value))}
    raise AssertionError("The last unit takes everything.")


def exact_bytes_text(size: int) -> str:
    """All digits: 1,234,567 bytes."""
    return ngettext("%(count)s byte", "%(count)s bytes", size) % {"count": Count(size)}


def _decimals(value: float) -> int:
    if abs(value) < 9.995:
        return 2
    return 1 if abs(value) < 99.95 else 0


def bytes_html(size: int | None) -> SafeString:
    """A size, with the exact number of bytes as its title."""
    if size is None:
        return unknown_html()
    return format_html('<span class="num" title="{}">{}</span>', exact_bytes_text(size), bytes_text(size))


def money_text(money: Money | None) -> str:
    """An amount with its currency: 1,234.50 USD. A small one is shown as less than a hundredth, never as nothing."""
    if money is None:
        return _("price not set")
    if 0 < money.amount < CENT:
        return _("less than %(amount)s") % {"amount": f"{decimal_text(float(CENT), 2)} {money.currency}"}
    whole, _point, fraction = f"{abs(money.amount):.2f}".partition(".")
    sign = "\N{MINUS SIGN}" if money.amount <= -CENT / 2 else ""
    return f"{sign}{count_text(int(whole))}{decimal_text(0, 1)[1]}{fraction} {money.currency}"


def costs_text(costs: Costs) -> str:
    """A sum: the amounts of all currencies, and that some bytes have no price."""
    amounts = [money_text(each) for each in costs.amounts]
    if costs.unpriced_bytes:
        amounts.append(_("price not set for %(size)s") % {"size": bytes_text(abs(costs.unpriced_bytes))})
    return " + ".join(amounts) or _("no cost")


def money_html(cost: Money | Costs | None) -> SafeString:
    """A cost in a table: a dash where no price is set, and the least where some of the bytes have none."""
    if cost is None or (isinstance(cost, Costs) and cost.unpriced_bytes and not cost.amounts):
        return format_html('<span class="text-secondary" role="img" aria-label="{}">–</span>', _("price not set"))
    if not isinstance(cost, Costs):
        return format_html("{}", money_text(cost))
    if cost.unpriced_bytes:
        return format_html('<span title="{}">≥ {}</span>', costs_text(cost), costs_text(Costs(cost.amounts)))
    return format_html("{}", costs_text(cost))


def signed_text(text: Callable[[int], str], number: int) -> str:
    """A difference with its sign, a minus as typographers write it."""
    sign = "+" if number > 0 else "\N{MINUS SIGN}" if number < 0 else ""
    return sign + text(abs(number))


def rate_text(bytes_per_second: float) -> str:
    return _("%(size)s/s") % {"size": bytes_text(round(bytes_per_second))}


def percent(value: int, maximum: int) -> int:
    """Whole per cent, rounded down: 100 means all of it. An empty file is complete."""
    return value * 100 // maximum if maximum else 100


def percent_text(whole: int) -> str:
    """42%"""
    return _("%(percent)s%%") % {"percent": whole}


def age_text(at: datetime, *, at_time: datetime | None = None) -> str:
    """How long ago `at` was, in one unit: "3 days ago", "just now", "in 2 hours"."""
    return _age_words(*_age_of(int(((at_time or now()) - at).total_seconds())))


def _age_of(seconds: int) -> tuple[int, int]:
    """An age as the place of its unit in AGES and its number of units, negative in the future; 0 units: just now."""
    least = abs(seconds)
    if least < 5:
        return 0, 0
    for place, (length, _past, _future) in enumerate(AGES):
        if least >= length:
            return place, least // length if seconds > 0 else -(least // length)
    raise AssertionError("The last unit is a second.")


def _age_words(place: int, units: int) -> str:
    if not units:
        return _("just now")
    _length, past, future = AGES[place]
    count = Count(abs(units))
    return (past if units > 0 else future)(count) % {"count": count}


def duration_text(seconds: float | None) -> str:
    """A length of time in its two largest units: "2 h 5 min", "40 s"; empty if it is not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return _two_units(_("%(days)s d %(hours)s h"), _("%(days)s d"), days=days, hours=hours)
    if hours:
        return _two_units(_("%(hours)s h %(minutes)s min"), _("%(hours)s h"), hours=hours, minutes=minutes)
    if minutes:
        return _two_units(_("%(minutes)s min %(seconds)s s"), _("%(minutes)s min"), minutes=minutes, seconds=rest)
    return _("%(seconds)s s") % {"seconds": rest}


def _two_units(both: str, larger: str, **amounts: int) -> str:
    """The text with both units, or with the larger one alone if the smaller amount, the last, is 0."""
    smaller = list(amounts.values())[-1]
    return (both if smaller else larger) % {name: Count(amount) for name, amount in amounts.items()}


def unknown_html() -> SafeString:
    """A dash for a value that is not known."""
    return format_html('<span class="text-secondary" role="img" aria-label="{}">–</span>', _("not known"))


def time_text(at: datetime) -> str:
    """An absolute time, for texts."""
    return _("%(time)s UTC") % {"time": _date_text(at.astimezone(UTC))}


def time_html(at: datetime | None) -> SafeString:
    """Absolute UTC time and its age."""
    if at is None:
        return unknown_html()
    return format_html(
        '<time datetime="{}">{} <span class="text-secondary">UTC</span></time> <span class="age">{}</span>', *_times(at)
    )


def age_html(at: datetime | None) -> SafeString:
    """The age; the absolute time is its title."""
    if at is None:
        return unknown_html()
    return format_html('<time datetime="{}" title="{} UTC">{}</time>', *_times(at))


def _times(at: datetime) -> tuple[str, str, str]:
    """A time for machines, for people, and as an age."""
    utc = at.astimezone(UTC)
    return utc.isoformat(timespec="seconds"), _date_text(utc), age_text(utc)


class Times:
    """The times of a page of many rows, relative to one moment. The words of each age are found once."""

    def __init__(self) -> None:
        self._now = now()
        self._words: dict[tuple[int, int], str] = {}
        self._is_iso = _strftime_pattern(get_language()) == ISO
        self._utc = _("%(time)s UTC")

    def age_text(self, at: datetime) -> str:
        """As the function `age_text`."""
        age = _age_of(int((self._now - at).total_seconds()))
        words = self._words.get(age)
        if words is None:
            words = self._words[age] = _age_words(*age)
        return words

    def time_text(self, at: datetime) -> str:
        """As the function `time_text`."""
        utc = at if at.tzinfo is UTC else at.astimezone(UTC)
        return self._utc % {"time": utc.isoformat(" ", "seconds")[:-6] if self._is_iso else _date_text(utc)}


ISO = "%Y-%m-%d %H:%M:%S"
"""The date format that `isoformat` writes too. It takes a tenth of the time of strftime."""

STRFTIME = {"Y": "%Y", "m": "%m", "d": "%d", "H": "%H", "i": "%M", "s": "%S"}
"""Letters of Django's date formats that strftime has too. It is much faster than date_format."""


def _date_text(at: datetime) -> str:
    pattern = _strftime_pattern(get_language())
    return at.strftime(pattern) if pattern else date_format(at, "DATETIME_FORMAT")


@cache
def _strftime_pattern(language: str | None) -> str:
    """The date format of a language for strftime; '' if it has other letters."""
    letters = str(get_format("DATETIME_FORMAT", language, use_l10n=True))
    if any(letter not in STRFTIME for letter in letters if letter.isalpha() or letter == "\\"):
        return ""
    return "".join(STRFTIME.get(letter, letter) for letter in letters)


CHARACTERS = 10_000
"""So many characters are remembered with their HTML: a page has many keys of one script."""


def _is_plain(key: str) -> bool:
    return key.isascii() and key.isprintable() and key == key.strip(" ")


def _is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    # A no-break space, for example, looks like a space.
    return category in INVISIBLE_CATEGORIES or category == "Zs" or bool(IGNORABLE.match(character))


def _mark(character: str) -> str:
    code = ord(character)
    return PICTURES.get(code) or f"U+{code:04X}"


@lru_cache(CHARACTERS)
def _shown(character: str) -> str:
    """One character of a key, with a visible mark in place of an invisible one."""
    if character == " " or not _is_invisible(character):
        return escape(character)
    return f'<span class="ctl" title="U+{ord(character):04X}">{_mark(character)}</span>'


def key_html(key: str) -> SafeString:
    """A key: monospaced, with its spaces, and with marks for what cannot be seen. Different keys look different.

    Of the ways to write the same accented characters, composed ones (NFC) have no mark. Decomposed ones (NFD, as macOS
    writes file names) have one mark for the whole key. In any other key, each such character has its code points.
    """
    if _is_plain(key):
        return format_html('<span class="key" translate="no">{}</span>', key)
    body = key.strip(" ")
    space = _space_html()
    before = len(key) - len(key.lstrip(" "))
    after = len(key) - len(key.rstrip(" ")) if body else 0
    marked = space * before + _body_html(body) + space * after + _nfd_html(key)
    return mark_safe(f'<span class="key" translate="no">{marked}</span>')  # noqa: S308  (every character went through escape)


LONG_KEY = 36
"""Columns of a monospaced font. A longer key may not fit in one line of a table."""

KEY_TAIL = 14
"""Columns at the end of a long key that stay visible. static/uploads.css leaves room for them."""


def split_key_html(key: str) -> tuple[SafeString, SafeString]:
    """The start and the end of a key, marked as by `key_html`. The end is empty if the key is short.

    In a line that is too short, the start is cut, so that a long key is cut in its middle.
    """
    if _is_plain(key):
        at = len(key) - KEY_TAIL if len(key) > LONG_KEY else len(key)
        return escape(key[:at]), escape(key[at:])
    pieces = _pieces(key)
    at, columns = len(pieces), 0
    if sum(each for _, each in pieces) > LONG_KEY:
        while at and columns + pieces[at - 1][1] <= KEY_TAIL:
            at -= 1
            columns += pieces[at][1]
    start, end = ("".join(html for html, _ in some) for some in (pieces[:at], pieces[at:]))
    return mark_safe(start), mark_safe(end)  # noqa: S308  (every character went through escape)


class RowKey(NamedTuple):
    """A key in a row, as HTML: its start and its end as by `split_key_html`, and the whole of it as `key_mark_text`."""

    start: str
    end: str
    mark: str


def row_key(key: str) -> RowKey:
    """The same as `split_key_html` and `key_mark_text`, in a fraction of their time for most keys."""
    if not _is_plain(key):
        start, end = split_key_html(key)
        return RowKey(start, end, html.escape(key_mark_text(key)))
    mark = html.escape(key)
    if len(key) <= LONG_KEY:
        return RowKey(mark, "", mark)
    if len(mark) == len(key):  # Nothing was escaped.
        return RowKey(key[:-KEY_TAIL], key[-KEY_TAIL:], mark)
    return RowKey(html.escape(key[:-KEY_TAIL]), html.escape(key[-KEY_TAIL:]), mark)


def _pieces(key: str) -> list[tuple[str, int]]:
    """The characters of a key that belong together, each with its HTML and its width in columns."""
    body = key.strip(" ")
    before, after = len(key) - len(key.lstrip(" ")), len(key) - len(key.rstrip(" ")) if body else 0
    space = (_space_html(), 1) if before or after else ("", 0)
    nfd = _nfd_html(key)
    return [*[space] * before, *_shown_pieces(body), *[space] * after, *([(nfd, 4)] if nfd else [])]


def _shown_pieces(body: str) -> list[tuple[str, int]]:
    if unicodedata.is_normalized("NFC", body):
        # Nothing composes any more, in no part of the text: each character is a piece.
        return [(_shown(character), _columns(character)) for character in body]
    show = _cluster_html if _is_mixed(body) else lambda cluster: "".join(map(_shown, cluster))
    return [(show(cluster), sum(map(_columns, cluster))) for cluster in _clusters(body)]


@lru_cache(CHARACTERS)
def _columns(character: str) -> int:
    """How wide a character is in a monospaced font, with its mark if it is invisible."""
    if character != " " and _is_invisible(character):
        return len(_mark(character))
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _space_html() -> SafeString:
    return format_html('<span class="ctl" title="{}">\u2423</span>', _("space"))


def _is_mixed(key: str) -> bool:
    """Whether a key is neither composed nor decomposed."""
    return not (unicodedata.is_normalized("NFC", key) or unicodedata.is_normalized("NFD", key))


def _body_html(body: str) -> str:
    if not _is_mixed(body):
        return "".join(map(_shown, body))
    return "".join(_cluster_html(cluster) for cluster in _clusters(body))


def _cluster_html(cluster: str) -> str:
    shown = "".join(map(_shown, cluster))
    if unicodedata.is_normalized("NFC", cluster):
        return shown
    return f'{shown}<span class="ctl">{_codes(cluster)}</span>'


def _codes(text: str) -> str:
    """The code points of the characters that are not composed."""
    clusters = [cluster for cluster in _clusters(text) if not unicodedata.is_normalized("NFC", cluster)]
    return " ".join(f"U+{ord(character):04X}" for cluster in clusters for character in cluster)


def _clusters(text: str) -> Iterator[str]:
    """The text in pieces, each of which composes only within itself."""
    piece = ""
    for character in text:
        if piece and unicodedata.normalize("NFC", piece + character) == unicodedata.normalize(
            "NFC", piece
        ) + unicodedata.normalize("NFC", character):
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _nfd_html(key: str) -> str:
    if unicodedata.is_normalized("NFC", key) or _is_mixed(key):
        return ""
    title = _("The key has decomposed characters (Unicode NFD), as macOS writes file names.")
    return format_html('<span class="ctl ctl-nfd" title="{}">NFD</span>', title)


def key_mark_text(key: str) -> str:
    """A key for texts without markup, such as titles, with marks as in `key_html`."""
    if _is_plain(key):
        return key
    marked = "".join(each if each == " " or not _is_invisible(each) else f"[{_mark(each)}]" for each in key)
    if unicodedata.is_normalized("NFC", key):
        return marked
    return f"{marked} [{_codes(key) if _is_mixed(key) else 'NFD'}]"


def short_id(upload_id: str, *, length: int = 14) -> str:
    """The two ends of an upload id, for a table. All ids of some stores start with the same characters."""
    if len(upload_id) <= length:
        return upload_id
    half = (length - 1) // 2
    return f"{upload_id[:half]}…{upload_id[-half:]}"
