"""The page of the trend: charts over days, the growth, a forecast, and who leaves most uploads unfinished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from dashboard.inventory.grouping import group_name
from dashboard.inventory.query import filter_query
from dashboard.inventory.trend_serializers import trend_json
from dashboard.inventory.words import VERDICTS
from dashboard.shared.charts import BYTES, COUNT, LineChart, Series
from dashboard.shared.charts.lines import day_text
from dashboard.shared.costs import cost_of
from dashboard.shared.errors import refuse
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import same_address
from uploads import access
from uploads.domain.cost import Costs
from uploads.domain.inventory_filter import Grouping
from uploads.domain.trends import LEAST_DAYS, DayTotal, calendar
from uploads.selectors.growth import AHEAD, Trend, find_trend
from uploads.selectors.inventory.groups import Group
from uploads.selectors.prices import Prices, prices_of
from uploads.selectors.trends import DAYS

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

LEAKS: Mapping[Grouping, StrPromise] = {
    Grouping.INITIATOR: gettext_lazy("Initiator"),
    Grouping.PREFIX: gettext_lazy("Prefix"),
}


class Leak(NamedTuple):
    """Uploads that are not alive and were never finished. `url` leads to them."""

    name: str
    url: str
    uploads: int
    bytes: int
    cost: Costs


@require_safe
def trend(request: HttpRequest) -> HttpResponseBase:
    """The last `days` of what the user may list as whole buckets, of one `store` or `bucket` if it is named."""
    try:
        query = Query(request)
        found = find_trend(request.user, _days_in(query), store=query.text("store"), bucket=query.text("bucket"))
    except BadParameter as error:
        return refuse(request, 400, _("No such trend"), str(error), code="InvalidArgument", back=reverse("trend"))
    if wants_json(request):
        return same_address(JsonResponse(trend_json(found)))
    return same_address(render(request, "inventory/trend.html", _context(request, found)))


def _days_in(query: Query) -> int:
    text = query.text("days") or str(DAYS[0])
    if text not in map(str, DAYS):
        values = {"name": "days", "values": ", ".join(map(str, DAYS))}
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % values)
    return int(text)


def _context(request: HttpRequest, found: Trend) -> dict[str, Any]:
    names = list(access.visible_stores(request.user).order_by("name").values_list("name", flat=True))
    known, prices = len(found.days), prices_of(access.visible_stores(request.user))
    leaks = [(title, [_leak(by, prices, each) for each in found.leaders[by]]) for by, title in LEAKS.items()]
    return {
        "trend": found,
        "last": found.days[-1] if found.days else None,
        "last_day": day_text(found.days[-1].day) if found.days else "",
        "since": day_text(found.growth.since) if found.growth else "",
        "forecast_day": day_text(found.days[-1].day + timedelta(days=AHEAD)) if found.days else "",
        "store_names": names if found.store in ("", *names) else [*names, found.store],
        "lengths": [(days, _url(found, days), days == found.length) for days in DAYS],
        "is_filtered": bool(found.store or found.bucket),
        "charts": list(_charts(found)) if known > 1 else [],
        "known_days": known,
        "missing_days": (found.today - found.days[0].day).days + 1 - known if known else 0,
        "least_days": LEAST_DAYS,
        "leaks": leaks,
        "lacks_prices": any(row.cost.unpriced_bytes for _title, rows in leaks for row in rows),
        "sees_parts_only": not known and access.visible_inventory_sums(request.user) is None,
    }


def _url(found: Trend, days: int) -> str:
    values = {"store": found.store, "bucket": found.bucket, "days": "" if days == DAYS[0] else str(days)}
    query = urlencode([(name, value) for name, value in values.items() if value])
    return reverse("trend") + (f"?{query}" if query else "")


def _charts(found: Trend) -> Iterator[LineChart]:
    """From the first day that is known to today. Days without a total are gaps."""
    days = calendar(found.days, found.today)
    names = {"first": day_text(days[0][0]), "last": day_text(days[-1][0])}
    description = _("From %(first)s to %(last)s. Days without a total are gaps.") % names
    by_bytes = _lines(days, lambda day: day.bytes, 1)
    by_uploads = _lines(days, lambda day: day.uploads, 0)
    dates = [day for day, _total in days]
    yield LineChart(_("Hidden bytes by verdict"), dates, by_bytes, BYTES, description)
    yield LineChart(_("Uploads in progress by verdict"), dates, by_uploads, COUNT, description)


def _lines(
    days: Sequence[tuple[date, DayTotal | None]], whole: Callable[[DayTotal], int], place: int
) -> Sequence[Series]:
    """All together, and each verdict that there was. `place` is that of the number in what a verdict has."""
    lines = [Series(_("all"), "all", [None if each is None else whole(each) for _day, each in days])]
    for verdict, text in VERDICTS.items():
        values = [None if each is None else each.by_verdict.get(verdict, (0, 0))[place] for _day, each in days]
        if any(values):
            lines.append(Series(str(text), verdict, values))
    return lines


def _leak(by: Grouping, prices: Prices, group: Group) -> Leak:
    totals, url = group.totals, f"{reverse('inventory')}?{filter_query(group.inside)}"
    return Leak(group_name(by, group), url, totals.uploads, totals.bytes, cost_of(prices, totals))
