"""Entries of the audit log in words: what changed, and the details, as names and texts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from dashboard.shared.formatting import exact_bytes_text, time_text
from dashboard.shared.messages import error_text, text_of
from dashboard.shared.messages.audit import MEANS, VALUES, WORDS, detail_name
from dashboard.shared.messages.proofs import proofs_text
from dashboard.shared.messages.sweeps import rule_words
from dashboard.shared.numbers import count_text
from uploads.problems import Problem, RecordedError

if TYPE_CHECKING:
    from uploads.models import AuditEntry

EMPTY: tuple[object, ...] = ("", None, {}, [])
"""Details that are not shown."""

PROOFS = "proofs"
"""The detail that lists proofs by their stored names."""

SIZES = ("size", "expected_size", "part_size", "max_bytes")
NAMES = ("fields", "forgot", "found")
"""Details that list names of other details."""

STATES = ("desired_state", "phase", "state")


def details_of(entry: AuditEntry) -> list[tuple[str, str]]:
    """The changes and the details of an entry: names and values. The columns of an error are one text."""
    detail = entry.detail if isinstance(entry.detail, dict) else {}
    error = RecordedError.from_columns(detail)
    rows = [("error", f"{error.code}: {error_text(error)}")] if error else []
    values = {name: value for name, value in detail.items() if not (error and name.startswith("error_"))}
    if isinstance(values.get("fields"), list):
        # The others are shown with their values.
        values["fields"] = [
            name for name in values["fields"] if name not in {*_values(entry.before), *_values(entry.after)}
        ]
    rows += [(name, value_text(name, value)) for name, value in values.items() if value not in EMPTY]
    shown = [(detail_name(name), value) for name, value in rows]
    if entry.request_id and not error:
        shown.append((detail_name("request_id"), entry.request_id))
    return changes_of(entry) + [row for row in dict.fromkeys(shown) if row[1]]


def changes_of(entry: AuditEntry) -> list[tuple[str, str]]:
    """What the action has changed: the name of each value, and what it was and is."""
    before, after = _values(entry.before), _values(entry.after)
    return [(detail_name(name), _change(name, before, after)) for name in dict.fromkeys((*before, *after))]


def _values(stored: Any) -> dict[str, Any]:
    return stored if isinstance(stored, dict) else {}


def _change(name: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    was, now = (value_text(name, values.get(name)) or _("none") for values in (before, after))
    if name not in before:
        return now
    return _("%(was)s before") % {"was": was} if name not in after else f"{was} → {now}"


def origin_of(entry: AuditEntry) -> str:
    """From where and by which means, such as "192.0.2.1, page"."""
    means = str(MEANS.get(entry.means, entry.means))
    if entry.token:
        means = _("access token “%(name)s”") % {"name": entry.token}
    return ", ".join(each for each in (entry.address, means) if each)


def value_text(name: str, value: object) -> str:
    """The value of a named detail as text. Stored names are shown as pages name them."""
    match value:
        case list():
            return _of_list(name, value)
        case dict():
            return _of_rule(value) if name == "rule" and "verdicts" in value else _of_dict(value)
        case bool():
            return _("yes") if value else _("no")
        case int():
            return exact_bytes_text(value) if name in SIZES else count_text(value)
    return "" if value is None else _of_text(name, str(value))


def _of_list(name: str, values: list[Any]) -> str:
    if name == PROOFS:
        return proofs_text([str(each) for each in values])
    return ", ".join(
        detail_name(str(each)) if name in NAMES else value_text(name if name in WORDS else "", each) for each in values
    )


def _of_dict(value: dict[str, Any]) -> str:
    """A problem as its text; other values by their names."""
    if isinstance(value.get("code"), str):
        return text_of(Problem.from_json(value))
    shown = ((key, value_text(key, each)) for key, each in value.items() if each not in EMPTY)
    return ", ".join(f"{detail_name(key)} {text}" for key, text in shown)


def _of_rule(rule: dict[str, Any]) -> str:
    """A rule of a sweep, as its page shows it."""
    return "; ".join(f"{name} {text}" for name, text in rule_words(rule))


def _of_text(name: str, value: str) -> str:
    if name in STATES:
        return str(VALUES.get(value, value))
    if value in WORDS.get(name, ()):
        return str(WORDS[name][value])
    at = _time(value)
    return time_text(at) if at else value


def _time(value: str) -> datetime | None:
    """A stored time with its offset. A key or an ETag is none."""
    try:
        at = parse_datetime(value) if "T" in value and len(value) <= len("2026-01-31T12:00:00.123456+00:00") else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
