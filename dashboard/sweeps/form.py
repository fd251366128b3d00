"""The form of a rule: what it is given, what is read of it, and what it shows. New and repeating sweeps share it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from dashboard.inventory.query import FILTERS, REPEATABLE, duration_text, filter_pairs
from dashboard.shared.messages.scans import WEEKDAYS
from dashboard.shared.messages.sweeps import EMPTY_VERDICT, RULE_VERDICTS, rule_words
from dashboard.shared.parameters import BadParameter, Query
from uploads import access
from uploads.domain.inventory_filter import EMPTY, InventoryFilter
from uploads.models import RepeatingSweep
from uploads.problems import Problem
from uploads.selectors.sweeps import verdicts_among
from uploads.services.sweeps.repeat import Repetition

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

REPETITION = ("repeat", "time", "weekday", "max-uploads", "max-total-bytes")
MAX_LIMIT = 2**62
UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
SIZE = re.compile(r"([0-9]{1,19})\s*(|KiB|MiB|GiB|TiB)", re.ASCII)
DEFAULT = Repetition(schedule="", max_uploads=1000, max_bytes=10 * 1024**3)


def posted(request: HttpRequest) -> Query:
    """The body of a form, or else the query, read as strictly as a query."""
    given = [(name, value) for name in (*FILTERS, *REPETITION) for value in request.POST.getlist(name) if value]
    reading = HttpRequest()
    reading.META["QUERY_STRING"] = urlencode(given) if given else request.META.get("QUERY_STRING", "")
    return Query(reading, repeatable=REPEATABLE)


def repetition_in(query: Query) -> Repetition:
    """When the rule is planned again, and its limits. Raises BadParameter."""
    schedule = query.text("repeat")
    if schedule not in RepeatingSweep.SCHEDULES:
        allowed = ", ".join(RepeatingSweep.SCHEDULES)
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": "repeat", "values": allowed})
    return Repetition(
        schedule=schedule,
        minute=_minute(query.text("time") or clock(DEFAULT.minute)),
        weekday=query.number("weekday", DEFAULT.weekday, 0, 6),
        max_uploads=query.number("max-uploads", DEFAULT.max_uploads, 0, 999_999_999),
        max_bytes=_bytes(query.text("max-total-bytes") or str(DEFAULT.max_bytes)),
    )


def _minute(text: str) -> int:
    hour, _colon, minute = text.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise BadParameter(_("“time” must be a time of the day in UTC, such as 04:00."))
    return int(hour) * 60 + int(minute)


def _bytes(text: str) -> int:
    found = SIZE.fullmatch(text.strip())
    size = int(found[1]) * UNITS[found[2]] if found else MAX_LIMIT + 1
    if size > MAX_LIMIT:
        raise BadParameter(_("“max-total-bytes” must be a whole number of bytes, KiB, MiB, GiB or TiB."))
    return size


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def size_text(size: int) -> str:
    """In the largest unit in which it is a whole number, as it can be entered."""
    unit = next((each for each in reversed(UNITS) if size and size % UNITS[each] == 0), "")
    return f"{size // UNITS[unit]} {unit}".strip()


def _verdicts(rule: InventoryFilter) -> dict[str, StrPromise]:
    """Those that the form offers. A rule of the inventory's page may also have what no rule can have alone."""
    return {**RULE_VERDICTS, **({EMPTY: EMPTY_VERDICT} if EMPTY in rule.verdicts else {})}


def context_of(
    request: HttpRequest,
    rule: InventoryFilter,
    *,
    repetition: Repetition | RepeatingSweep = DEFAULT,
    problem: Problem | None = None,
) -> dict[str, Any]:
    return {
        "rule": rule,
        "store_names": list(access.visible_stores(request.user).order_by("name").values_list("name", flat=True)),
        "words": rule_words(rule.to_json()),
        "verdicts": [(name, text, name in rule.verdicts) for name, text in _verdicts(rule).items()],
        "kept": [pair for pair in filter_pairs(rule) if pair[0] != "verdict"],
        "selected": verdicts_among(request.user, rule) if rule.ids else {},
        "older_than": duration_text(rule.older_than),
        "younger_than": duration_text(rule.younger_than),
        "idle_for": duration_text(rule.idle_for),
        "schedule": repetition.schedule,
        "weekdays": [(number, text, number == repetition.weekday) for number, text in enumerate(WEEKDAYS)],
        "time": clock(repetition.minute),
        "max_uploads": repetition.max_uploads,
        "max_total_bytes": size_text(repetition.max_bytes),
        "problem": problem,
    }
