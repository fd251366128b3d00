"""The filter of the audit log: what a query may ask for, and the query that asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from dashboard.shared.parameters import BadParameter, Query
from uploads.audit import Means, Outcome
from uploads.selectors.audit import AuditFilter

TEXTS = ("actor", "address", "means", "token", "action", "outcome", "store", "bucket", "key", "prefix")
FILTERS = (*TEXTS, "upload-id", "transfer", "operation", "request-id", "since", "until")
"""The names of all parameters that filter, in the order of the form."""

LONGEST_ID = 18
FIRST_YEAR, LAST_YEAR = 1970, 9000


def given_in(query: Query) -> dict[str, str]:
    """The filters that are given, as text."""
    values = {name: query.text(name).strip() if name not in ("key", "prefix") else query.text(name) for name in FILTERS}
    return {name: value for name, value in values.items() if value}


def parse_filter(given: dict[str, str]) -> AuditFilter:
    """Raises BadParameter."""
    one_of("means", given.get("means", ""), tuple(Means))
    one_of("outcome", given.get("outcome", ""), tuple(Outcome))
    texts = {name: given.get(name, "") for name in TEXTS}
    return AuditFilter(
        **texts,
        upload_id=given.get("upload-id", ""),
        request_id=given.get("request-id", ""),
        transfer=_id("transfer", given),
        operation=_id("operation", given),
        since=_time("since", given),
        until=_time("until", given),
    )


def marker(query: Query, name: str) -> int | None:
    """The id of an entry; None if the parameter is missing. Raises BadParameter."""
    text = query.text(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_ID):
        raise BadParameter(_("“%(name)s” must be the number of an audit entry.") % {"name": name})
    return int(text)


def query_of(given: dict[str, str], **more: object) -> str:
    return urlencode({**given, **{name: value for name, value in more.items() if value is not None}})


def one_of(name: str, value: str, allowed: Collection[str]) -> None:
    """Raises BadParameter for a value that is given and not allowed."""
    if value and value not in allowed:
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": name, "values": ", ".join(allowed)})


def _id(name: str, given: dict[str, str]) -> uuid.UUID | None:
    if name not in given:
        return None
    try:
        return uuid.UUID(given[name])
    except ValueError:
        raise BadParameter(_("“%(name)s” must be an id, as its page has it.") % {"name": name}) from None


def _time(name: str, given: dict[str, str]) -> datetime | None:
    """A date or a time, in UTC unless it says otherwise."""
    if name not in given:
        return None
    try:
        day = parse_date(given[name])
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(given[name])
        if found is not None and FIRST_YEAR <= found.year <= LAST_YEAR:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except ValueError:
        pass
    raise BadParameter(
        _("“%(name)s” must be a date or a time in UTC, such as 2026-01-31 or 2026-01-31T12:00.") % {"name": name}
    )


def read(request: HttpRequest) -> tuple[Query, dict[str, str], AuditFilter]:
    """The query of a request, the filters in it, and what they mean. Raises BadParameter."""
    query = Query(request)
    given = given_in(query)
    return query, given, parse_filter(given)
