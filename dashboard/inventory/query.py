"""The query of the inventory: what it may ask for, and the query that asks for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from dashboard.shared.numbers import Count
from dashboard.shared.parameters import BadParameter, Query
from uploads.domain.inventory_filter import VERDICTS, WITHOUT, Grouping, InventoryFilter, Sort
from uploads.selectors.inventory.groups import MAX_ROWS

FILTERS = (
    "store",
    "bucket",
    "prefix",
    "initiator",
    "without",
    "class",
    "verdict",
    "older-than",
    "younger-than",
    "idle-for",
    "min-bytes",
    "max-bytes",
    "min-parts",
    "max-parts",
    "q",
    "id",
)
"""The names of all parameters that filter, in the order of the form."""

VIEW = ("sort", "group", "depth", "groups-from", "cursor", "page-size", "format")
"""The names of the other parameters of the page."""

REPEATABLE = frozenset({"verdict", "without", "id"})
DEFAULT_SORT = "-bytes"
SORTS = tuple(f"{sign}{sort.value}" for sort in Sort for sign in ("", "-"))
GROUPS = tuple(group.value for group in Grouping)

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
DURATION = re.compile(r"([0-9]{1,5})([mhdw])", re.ASCII)
MAX_BYTES = 2**62
MAX_Q_BYTES = 4096
MAX_DEPTH = 4
PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000
MAX_IDS = MAX_PAGE_SIZE
"""Uploads that can be selected: all of a page."""

ID = re.compile(r"[0-9]{1,18}", re.ASCII)


def query_in(request: HttpRequest) -> Query:
    """The query of a request; each name but those of `REPEATABLE` is allowed once. Raises BadParameter."""
    return Query(request, repeatable=REPEATABLE)


def read_filter(request: HttpRequest) -> InventoryFilter:
    """The filter in the query of a request. Raises BadParameter, which says what is allowed."""
    return filter_in(query_in(request))


def filter_in(query: Query) -> InventoryFilter:
    """Raises BadParameter."""
    return InventoryFilter(
        store=query.text("store"),
        bucket=query.text("bucket"),
        prefix=query.text("prefix"),
        initiator=query.text("initiator"),
        storage_class=query.text("class"),
        without=_among(query, "without", WITHOUT),
        verdicts=_among(query, "verdict", VERDICTS),
        older_than=_duration(query, "older-than"),
        younger_than=_duration(query, "younger-than"),
        idle_for=_duration(query, "idle-for"),
        min_bytes=_size(query, "min-bytes"),
        max_bytes=_size(query, "max-bytes"),
        min_parts=_size(query, "min-parts"),
        max_parts=_size(query, "max-parts"),
        q=_searched(query),
        ids=_ids(query),
    )


def filter_query(wanted: InventoryFilter, **more: str | int | None) -> str:
    """The query string of a filter, without a question mark; `page_size` and the like become `page-size`."""
    return urlencode(
        [*filter_pairs(wanted), *((_dashed(name), value) for name, value in more.items() if value is not None)]
    )


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def filter_pairs(wanted: InventoryFilter) -> Sequence[tuple[str, str | int]]:
    """The parameters of a filter that are given."""
    values: list[tuple[str, str | int | None]] = [
        ("store", wanted.store),
        ("bucket", wanted.bucket),
        ("prefix", wanted.prefix),
        ("initiator", wanted.initiator),
        *(("without", each) for each in wanted.without),
        ("class", wanted.storage_class),
        *(("verdict", each) for each in wanted.verdicts),
        ("older-than", duration_text(wanted.older_than)),
        ("younger-than", duration_text(wanted.younger_than)),
        ("idle-for", duration_text(wanted.idle_for)),
        ("min-bytes", wanted.min_bytes),
        ("max-bytes", wanted.max_bytes),
        ("min-parts", wanted.min_parts),
        ("max-parts", wanted.max_parts),
        ("q", wanted.q),
        *(("id", each) for each in wanted.ids),
    ]
    return [(name, value) for name, value in values if value is not None and value != ""]


def duration_text(duration: timedelta | None) -> str:
    """A duration as the query has it, such as `7d`; '' for None."""
    if duration is None:
        return ""
    unit = next((name for name in "dhm" if not duration % UNITS[name]), "m")
    return f"{duration // UNITS[unit]}{unit}"


def read_sort(query: Query) -> tuple[Sort, bool]:
    """By what the page is sorted, and whether the largest come first. Raises BadParameter."""
    text = query.text("sort") or DEFAULT_SORT
    _one_of("sort", text, SORTS)
    return Sort(text.removeprefix("-")), text.startswith("-")


def read_group(query: Query) -> Grouping | None:
    """Raises BadParameter."""
    text = query.text("group")
    if not text:
        return None
    _one_of("group", text, GROUPS)
    return Grouping(text)


def read_depth(query: Query) -> int:
    return query.number("depth", 1, 1, MAX_DEPTH)


def read_groups_from(query: Query) -> int:
    """The number of the first group that is shown, from 0 on."""
    return query.number("groups-from", 0, 0, MAX_ROWS)


def read_page_size(query: Query) -> int:
    return query.number("page-size", PAGE_SIZE, 1, MAX_PAGE_SIZE)


def _among(query: Query, name: str, allowed: Sequence[str]) -> tuple[str, ...]:
    given = [each for each in query.all(name) if each]
    for each in given:
        _one_of(name, each, allowed)
    return tuple(dict.fromkeys(given))


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": name, "values": ", ".join(allowed)})


def _duration(query: Query, name: str) -> timedelta | None:
    text = query.text(name)
    if not text:
        return None
    found = DURATION.fullmatch(text)
    if found is None:
        raise BadParameter(
            _("“%(name)s” must be a duration such as 7d, 12h, 30m or 2w, with a number of at most five digits.")
            % {"name": name}
        )
    return int(found[1]) * UNITS[found[2]]


def _size(query: Query, name: str) -> int | None:
    text = query.text(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_BYTES):
        raise BadParameter(
            _("“%(name)s” must be a whole number from 0 to %(most)s.") % {"name": name, "most": Count(MAX_BYTES)}
        )
    return int(text)


def _ids(query: Query) -> tuple[int, ...]:
    """The numbers of rows that a user has selected."""
    given = [each for each in query.all("id") if each]
    if len(given) > MAX_IDS or not all(ID.fullmatch(each) for each in given):
        raise BadParameter(
            _("“id” must be the number of an upload in the inventory, and given at most %(most)s times.")
            % {"most": Count(MAX_IDS)}
        )
    return tuple(dict.fromkeys(int(each) for each in given))


def _searched(query: Query) -> str:
    """A text to search for, which can be a long line of a log."""
    return query.long_text("q", MAX_Q_BYTES).strip()
