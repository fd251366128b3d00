"""The list of transfers: its columns, filters and actions."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dashboard.shared.lists import Action, Column, Filter, Kind, ListQuery, ListSpec, common_filters
from dashboard.shared.lists.choices import store_names
from dashboard.templatetags.components import state_text
from uploads.domain.states import TransferState
from uploads.models import Transfer
from uploads.selectors.lists.keyset import Search
from uploads.selectors.lists.transfers import TransferFilter, search_transfers


def _states(_request: HttpRequest) -> list[tuple[str, Any]]:
    return [(each.value, state_text(each.value)) for each in TransferState]


TRANSFERS = ListSpec(
    name="transfers",
    model=Transfer,
    columns=(
        Column("state", _("State"), classes="list-state"),
        Column("key", _("Key"), sort="key", is_fixed=True),
        Column("size", _("Size"), sort="size", classes="text-num list-size", largest_first=True),
        Column("received", _("Received"), classes="list-leg"),
        Column("sent", _("In the store"), classes="list-leg"),
        Column("rate", _("Rate, time left"), classes="text-num list-rate"),
        Column("owner", _("Owner"), classes="list-owner", is_extra=True),
        Column("started", _("Started"), sort="created_at", classes="list-time", largest_first=True),
        Column("finished", _("Ended"), classes="list-time", is_extra=True),
    ),
    filters=(
        Filter("state", _("State"), Kind.LINKS, _states, is_closed=True),
        Filter("store", _("Store"), Kind.CHOICE, store_names),
        Filter("bucket", _("Bucket")),
        Filter("owner", _("Owner")),
        Filter("q", _("Key or file has"), Kind.MONO),
        Filter("from", _("Started from"), Kind.DAY),
        Filter("to", _("Started until"), Kind.DAY),
    ),
    default_sort="-started",
    actions=(
        Action("cancel", _("Cancel selected…"), _("Cancel…"), "x"),
        Action("retry", _("Retry selected"), _("Retry"), "refresh"),
        Action("pause", _("Pause selected"), _("Pause"), "player-pause"),
    ),
    url_of_actions="transfers-steps",
)


def search_of(request: HttpRequest, query: ListQuery) -> Search[Transfer]:
    """Raises BadParameter and NotAllowed."""
    state = query.text("state")
    wanted = TransferFilter(
        state=TransferState(state) if state else None,
        text=query.text("q"),
        **common_filters(query),
    )
    return search_transfers(request.user, wanted)
