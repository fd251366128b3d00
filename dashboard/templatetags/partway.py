"""Template tags and filters of the site. They are built in: no template needs to load them.

templates/components/README.md lists them with the components.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from dashboard.shared import formatting
from dashboard.shared.messages import error_json, error_text, text_of
from uploads.problems import Problem, RecordedError

register = template.Library()

STATE_TONES = {
    "receiving": "busy",
    "sending": "busy",
    "completing": "busy",
    "running": "busy",
    "ordered": "wait",
    "waiting": "wait",
    "staged": "wait",
    "paused": "wait",
    "cancelling": "warn",
    "partly-failed": "warn",
    "possible-orphan": "warn",
    "disabled": "idle",
    "done": "good",
    "sent": "good",
    "reachable": "good",
    "failed": "bad",
    "unreachable": "bad",
    "cancelled": "idle",
    "gone": "idle",
}
"""The colour of a state's dot; the word beside it says the same."""


@cache
def _icon_svg(name: str) -> str:
    """The icon's SVG, taken from the icon package; the name comes from our templates only."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"{name!r} is no icon name.")
    svg = (settings.ICONS_DIR / "outline" / f"{name}.svg").read_text()
    body = re.sub(r"\s+", " ", svg[svg.index("<svg") :])
    return re.sub(r'class="[^"]*"', 'class="icon" aria-hidden="true" focusable="false"', body, count=1)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An outline icon, hidden from screen readers: the text beside it, or an aria-label, must say it."""
    return mark_safe(_icon_svg(name))  # noqa: S308  (a file of the locked icon package)


@register.filter(name="bytes")
def bytes_filter(size: int | None) -> SafeString:
    return formatting.bytes_html(size)


@register.filter
def bytes_text(size: int) -> str:
    return formatting.bytes_text(size)


@register.filter
def when(at: datetime | None) -> SafeString:
    return formatting.time_html(at)


@register.filter
def age(at: datetime | None) -> SafeString:
    return formatting.age_html(at)


@register.filter
def duration(seconds: float | None) -> str:
    return formatting.duration_text(seconds)


@register.filter
def count(number: int) -> str:
    """A whole number with the thousands separators of the language."""
    return formatting.count_text(number)


@register.filter
def exact_bytes(size: int) -> str:
    return formatting.exact_bytes_text(size)


@register.filter
def rate(bytes_per_second: float) -> str:
    return formatting.rate_text(bytes_per_second)


@register.filter
def problem_text(problem: Problem) -> str:
    """The text of a problem: a code with its parameters."""
    return text_of(problem)


@register.filter(name="error_text")
def error_text_filter(error: RecordedError) -> str:
    """The text of an error that a row keeps."""
    return error_text(error)


@register.filter
def detail(value: object) -> str:
    """A value of an audit entry's detail: yes and no, large numbers with commas, lists without brackets."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@register.filter
def key_text(key: str) -> SafeString:
    return formatting.key_html(key)


@register.filter
def short_id(upload_id: str) -> str:
    return formatting.short_id(upload_id)


@register.filter
def exactly(value: str) -> str:
    """Percent-encoded as a whole, for a query string or a data attribute: no browser rewrites a character of it."""
    return quote(value, safe="")


@register.simple_tag
def state(name: str) -> SafeString:
    """A state as a word with a coloured dot."""
    return format_html(
        '<span class="state state-{}"><span class="state-dot" aria-hidden="true"></span>{}</span>',
        STATE_TONES.get(str(name), "idle"),
        str(name).replace("-", " "),
    )


@register.simple_tag
def progress(value: int, maximum: int, label: str) -> SafeString:
    """A progress bar; an empty file is whole from the start."""
    return format_html(
        '<progress class="bar" value="{}" max="{}" aria-label="{}">{}%</progress>',
        value if maximum else 1,
        maximum or 1,
        label,
        percent(value, maximum),
    )


@register.filter
def percent(value: int, maximum: int) -> int:
    """Whole per cent, rounded down: 100 means all of it."""
    return value * 100 // maximum if maximum else 100


@register.simple_tag
def copy_button(value: str, name: str) -> SafeString:
    """A button that copies `value`; without JavaScript it stays hidden."""
    return format_html(
        '<button type="button" class="btn btn-action btn-copy" data-copy="{}" aria-label="Copy {}" title="Copy {}"'
        " hidden>{}</button>",
        exactly(value),
        name,
        name,
        icon("copy"),
    )


@register.inclusion_tag("components/empty.html")
def empty(icon_name: str, title: str, text: str = "", link: str = "", link_text: str = "") -> dict[str, str]:
    """What a page says where there is nothing to show."""
    return {"icon_name": icon_name, "title": title, "text": text, "link": link, "link_text": link_text}


@register.inclusion_tag("components/explanation.html")
def explanation(explained: object) -> dict[str, object]:
    """A failure of the store, explained: the card made from dashboard.shared.explain.explain(error)."""
    return {"explained": explained}


@register.inclusion_tag("components/field.html")
def field(bound: Any, columns: str = "") -> dict[str, Any]:
    """One field of a Django form, with its label, help and errors."""
    return {"field": bound, "columns": columns}


@register.inclusion_tag("components/recorded_error.html")
def recorded_error(error: RecordedError | None) -> dict[str, object]:
    """An error kept in the database (`.error` of a transfer, part or item): code, message, request id."""
    return {"error": error_json(error)}
