"""The audit log as a list: its columns, and the fields of its filter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dashboard.shared.lists import Column, Filter, Kind, ListAddress, ListQuery, ListSpec, list_context
from dashboard.shared.messages.audit import ACTIONS, MEANS, OUTCOMES, THINGS
from uploads.models import AuditEntry
from uploads.selectors.audit import AuditPage
from uploads.selectors.lists.order import Order

OLDEST_FIRST = "at"
"""The value of `sort` for it."""


def _actions(_request: HttpRequest) -> list[tuple[str, Any]]:
    return [*THINGS.items(), *ACTIONS.items()]


def _outcomes(_request: HttpRequest) -> list[tuple[str, Any]]:
    return list(OUTCOMES.items())


def _means(_request: HttpRequest) -> list[tuple[str, Any]]:
    return list(MEANS.items())


def _times(first: date, last: date | None) -> Mapping[str, str]:
    """The times of some days: `until` is not included."""
    return {"since": f"{first}T00:00", "until": f"{last + timedelta(days=1)}T00:00" if last else ""}


AUDIT = ListSpec(
    name="audit",
    model=AuditEntry,
    columns=(
        Column("at", _("When"), sort="id", classes="audit-at", largest_first=True),
        Column("actor", _("Who"), classes="audit-who"),
        Column("what", _("What"), classes="audit-what", is_fixed=True),
        Column("object", _("Object")),
        Column("details", _("Details"), classes="audit-details"),
    ),
    filters=(
        Filter("actor", _("Who")),
        Filter("action", _("What"), Kind.CHOICE, _actions),
        Filter("store", _("Store")),
        Filter("bucket", _("Bucket")),
        Filter("prefix", _("Key starts with"), Kind.MONO),
        Filter("upload-id", _("Upload id"), Kind.MONO),
        Filter("since", _("From (UTC)"), Kind.TIME),
        Filter("until", _("Before (UTC)"), Kind.TIME),
        Filter("outcome", _("Outcome"), Kind.CHOICE, _outcomes, is_folded=True),
        Filter("means", _("By means of"), Kind.CHOICE, _means, is_folded=True),
        Filter("address", _("Address"), is_folded=True),
        Filter("token", _("Access token"), is_folded=True),
        Filter("key", _("Key"), Kind.MONO, is_folded=True),
        Filter("transfer", _("Transfer id"), Kind.MONO, is_folded=True),
        Filter("operation", _("Operation id"), Kind.MONO, is_folded=True),
        Filter("request-id", _("Request id of the store"), Kind.MONO, is_folded=True),
    ),
    default_sort="-at",
    days=_times,
)
"""How its lines are found is its own (`uploads.selectors.audit`): by id, and within bounds for every filter."""


def context_of(
    request: HttpRequest, given: Mapping[str, str], sort: str, place: Mapping[str, int | None], page: AuditPage
) -> dict[str, Any]:
    """What the templates of lists need. `place`: the ids that the page begins at."""
    order = Order(AuditEntry, "id", descends=sort != OLDEST_FIRST)
    query = ListQuery(given, sort=sort, cursor="", order=order, place=None)
    address = ListAddress(AUDIT, query)

    def at(name: str, marker: int | None) -> str:
        return "" if marker is None else address.where({name: str(marker)})

    older, newer = at("before", page.older), at("after", page.newer)
    return {
        **list_context(
            request, AUDIT, query, {name: None if value is None else str(value) for name, value in place.items()}
        ),
        "is_first_page": set(place.values()) == {None},
        "first_url": address.first,
        "next_url": older if order.descends else newer,
        "previous_url": newer if order.descends else older,
    }
