"""Values as people read them: bytes, times, ages, keys. Pure but for the clock; escaped, ready for a page.

Rows of a long table are formatted here, in the view: template filters on 1,000 rows cost three times as much.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now

UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
NOTHING = SafeString('<span class="text-secondary" aria-label="not known">–</span>')

AGES = (
    (365 * 86400, "year"),
    (30 * 86400, "month"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
    (1, "second"),
)

PICTURES = {**{code: chr(0x2400 + code) for code in range(0x20)}, 0x7F: "\u2421"}
"""Unicode's pictures of the control characters."""

INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
"""Unicode categories of characters that a reader cannot see, or that move the text around them."""


def bytes_text(size: int) -> str:
    """`size` bytes in binary units with three significant digits: 0 bytes, 1 byte, 1.50 KiB, 153 MiB."""
    if abs(size) < 1024:
        return f"{size} byte" if size == 1 else f"{size} bytes"
    value = float(size)
    for unit in UNITS:
        value /= 1024
        if abs(value) < 999.5 or unit == UNITS[-1]:
            return f"{value:.{_decimals(value)}f} {unit}"
    raise AssertionError("The last unit takes everything.")


def _decimals(value: float) -> int:
    if abs(value) < 9.995:
        return 2
    return 1 if abs(value) < 99.95 else 0


def bytes_html(size: int | None) -> SafeString:
    """A size with the exact number of bytes behind it."""
    if size is None:
        return NOTHING
    return format_html('<span class="num" title="{} bytes">{}</span>', f"{size:,}", bytes_text(size))


def age_text(at: datetime, *, at_time: datetime | None = None) -> str:
    """How long ago `at` was, in one unit: "3 days ago", "just now", "in 2 hours"."""
    seconds = int(((at_time or now()) - at).total_seconds())
    if abs(seconds) < 5:
        return "just now"
    length, unit = next((length, unit) for length, unit in AGES if abs(seconds) >= length)
    count = abs(seconds) // length
    amount = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def duration_text(seconds: float | None) -> str:
    """A length of time in its two largest units: "2 h 5 min", "40 s"; empty where it is not known."""
    if seconds is None:
        return ""
    rest = max(0, round(seconds))
    days, rest = divmod(rest, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    amounts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{count} {unit}" for count, unit in amounts if count][:2]
    return " ".join(shown) or "0 s"


def time_html(at: datetime | None) -> SafeString:
    """Absolute UTC time, with its age beside it."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{} <span class="text-secondary">UTC</span></time> <span class="age">{}</span>',
        utc.isoformat(timespec="seconds"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        age_text(utc),
    )


def row_time_html(at: datetime | None) -> SafeString:
    """As time_html, where the column's heading says UTC."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{}</time> <span class="age">{}</span>',
        utc.isoformat(timespec="seconds"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        age_text(utc),
    )


def age_html(at: datetime | None) -> SafeString:
    """The age alone; the absolute time is its title."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        utc.isoformat(timespec="seconds"),
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        age_text(utc),
    )


def _is_plain(key: str) -> bool:
    return key.isascii() and key.isprintable() and key == key.strip(" ")


def _shown(character: str) -> str:
    """One character of a key: what cannot be seen becomes a mark that can."""
    if unicodedata.category(character) not in INVISIBLE_CATEGORIES and character != "\xa0":
        return escape(character)
    code = ord(character)
    mark = PICTURES.get(code) or f"U+{code:04X}"
    return f'<span class="ctl" title="U+{code:04X}">{mark}</span>'


def key_html(key: str) -> SafeString:
    """A key as it is: monospaced, spaces kept, what is invisible made visible."""
    if _is_plain(key):
        return format_html('<span class="key">{}</span>', key)
    body = key.strip(" ")
    space = '<span class="ctl" title="space">\u2423</span>'
    before = len(key) - len(key.lstrip(" "))
    after = len(key) - len(key.rstrip(" ")) if body else 0
    marked = space * before + "".join(_shown(character) for character in body) + space * after
    return mark_safe(f'<span class="key">{marked}</span>')  # noqa: S308  (every character went through escape)


def short_id(upload_id: str, *, length: int = 14) -> str:
    """An upload id short enough for a table: its two ends, since some stores begin all of them alike."""
    if len(upload_id) <= length:
        return upload_id
    half = (length - 1) // 2
    return f"{upload_id[:half]}…{upload_id[-half:]}"
