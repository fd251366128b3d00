"""What is wrong in all stores: hidden bytes and their cost, what grew, what needs a decision, what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from dashboard.shared.costs import ShownCosts, shown, stores_without_price
from dashboard.shared.messages.alerts import value_text
from dashboard.shared.messages.sweeps import rule_words
from uploads import access
from uploads.access import AnyUser
from uploads.domain.roles import Action
from uploads.domain.trends import WEEK, growth_in_a_week
from uploads.domain.verdicts import Verdict
from uploads.selectors.growth import grown_most
from uploads.selectors.hidden import Hidden, active_alerts, hidden, sweeps_to_approve
from uploads.selectors.inventory.uncounted import uncounted_buckets
from uploads.selectors.lifecycle import Known, known_counts
from uploads.selectors.prices import Prices, prices_of
from uploads.selectors.scans import not_checked
from uploads.selectors.trends import series

DECISIONS = (Verdict.DEAD.value, Verdict.SUPERSEDED.value, Verdict.COMPLETABLE.value, Verdict.UNJUDGED.value)
"""The verdicts of uploads about which somebody has to decide."""

MOST_SHOWN = 5
"""Lines of each list. The pages of the inventory, the trend, sweeps and alerts have the rest."""


class Decision(NamedTuple):
    """Uploads with a verdict, and the bytes of those that are `known`. `url` leads to the largest of all stores."""

    verdict: str
    url: str
    uploads: int
    known: int
    bytes: int
    costs: ShownCosts


def hidden_context(request: HttpRequest) -> dict[str, Any]:
    """Only the page has it: polling does not repeat it."""
    user = request.user
    if not access.may(user, Action.LIST_UPLOADS):
        return {"shows_hidden": False}
    found, unchecked = hidden(user), not_checked(user, limit=MOST_SHOWN)
    stores = list(access.visible_stores(user))
    prices = prices_of(stores)
    costs = shown(prices.total(found.total.sizes))
    was_scanned = bool(found.total.uploads) or access.visible_inventory_buckets(user).exists()
    return {
        "shows_hidden": bool(stores and (was_scanned or unchecked)),
        "was_scanned": was_scanned,
        "hidden": found,
        "uncounted_buckets": uncounted_buckets(user),
        "hidden_costs": costs,
        "without_price": stores_without_price(request, stores, prices, found.total.sizes)
        if costs.unpriced_bytes
        else [],
        "decisions": list(_decisions(found, prices)),
        "waiting_sweeps": [(each, rule_words(each.rule)) for each in sweeps_to_approve(user, MOST_SHOWN)],
        "active_alerts": [(each, value_text(each.rule, each.value)) for each in active_alerts(user, MOST_SHOWN)],
        "without_rule": known_counts(user).get(Known.NONE, 0),
        "unchecked": unchecked,
        "may_scan": access.may_scan(user),
        **({} if found.is_part else _growth(user)),
    }


def _decisions(found: Hidden, prices: Prices) -> Iterator[Decision]:
    for verdict in DECISIONS:
        count = found.by_verdict.get(verdict)
        if count is not None and count.uploads:
            url = f"{reverse('inventory')}?{urlencode([('verdict', verdict), ('sort', '-bytes')])}"
            costs = shown(prices.total(count.sizes))
            yield Decision(verdict, url, count.uploads, count.known, count.bytes, costs)


def _growth(user: AnyUser) -> dict[str, Any]:
    """Since the day a week before the last one that has totals, and the buckets that grew most."""
    days = series(user, WEEK + 1)
    growth = growth_in_a_week(days)
    if growth is None:
        return {"growth": None}
    return {"growth": growth, "grown": list(grown_most(user, growth.since, days[-1].day)[:MOST_SHOWN])}
