"""The list of all buckets: which of them have a rule that aborts unfinished uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.lifecycle.serializers import buckets_json
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages.lifecycle import KNOWN, KNOWN_TONES
from dashboard.shared.parameters import BadParameter, Query, query_string
from dashboard.shared.responses import explains_failures
from uploads import access
from uploads.domain.lifecycle.rules import stored_rule
from uploads.selectors.lifecycle import BucketRules, Known, Place, buckets_with_rules, known_counts, unknown_stores

PAGE_SIZE = 100

SHOWN_RULES = 3
"""Rules of a bucket that the list has in words."""


@require_safe
@explains_failures
def buckets(request: HttpRequest) -> HttpResponseBase:
    """A page of buckets. Query: `store`, `rule` (one of `Known`), `cursor`."""
    query = Query(request)
    store, known, after = query.text("store"), _known(query.text("rule")), _read_cursor(query.text("cursor"))
    rows, following = buckets_with_rules(request.user, store, known, after, PAGE_SIZE)
    counts = known_counts(request.user, store)
    older = _write_cursor(following)
    if wants_json(request):
        return JsonResponse(buckets_json(rows, counts, older))
    chosen: dict[str, str | int | None] = {"store": store, "rule": known.value if known else ""}
    context = {
        "rows": [_row(each) for each in rows],
        "filters": _filters(counts, store, known),
        "stores": access.stores_to_see(request.user).filter(enabled=True).order_by("name"),
        "store_name": store,
        "known": known.value if known else "",
        "next_url": reverse("lifecycle-buckets") + query_string({**chosen, "cursor": older}) if older else "",
        "first_url": reverse("lifecycle-buckets") + query_string(chosen) if after else "",
        "unscanned": [each for each in unknown_stores(request.user) if store in ("", each.name)],
    }
    return render(request, "lifecycle/buckets.html", context)


def _filters(counts: Mapping[Known, int], store: str, chosen: Known | None) -> Sequence[dict[str, Any]]:
    """A link for each kind of buckets that there are, and one for all of them."""
    links: list[dict[str, Any]] = [{"text": _("All buckets"), "count": sum(counts.values()), "known": ""}]
    links += [
        {"text": str(KNOWN[known]), "count": counts.get(known, 0), "known": known.value}
        for known in Known
        if known in counts or known in (chosen, Known.NONE)
    ]
    return [
        {
            **each,
            "url": reverse("lifecycle-buckets") + query_string({"store": store, "rule": each["known"]}),
            "is_current": each["known"] == (chosen.value if chosen else ""),
        }
        for each in links
    ]


def _row(each: BucketRules) -> dict[str, Any]:
    rules = each.state.rules if each.known is not Known.UNSUPPORTED else []
    return {
        "state": each.state,
        "url": BucketLinks(each.state.store.name, each.state.bucket).lifecycle,
        "text": KNOWN[each.known],
        "tone": KNOWN_TONES[each.known],
        "is_unreadable": each.known is Known.UNREADABLE,
        "rules": [stored_rule(rule) for rule in rules[:SHOWN_RULES]],
        "more_rules": max(0, len(rules) - SHOWN_RULES),
        "uploads": each.uploads,
        "bytes": each.bytes,
    }


def _known(text: str) -> Known | None:
    if not text:
        return None
    try:
        return Known(text)
    except ValueError:
        names = ", ".join(Known)
        raise BadParameter(_("“%(name)s” must be one of %(values)s.") % {"name": "rule", "values": names}) from None


def _write_cursor(place: Place | None) -> str:
    return "/".join(place) if place else ""


def _read_cursor(text: str) -> Place | None:
    if not text:
        return None
    store, slash, bucket = text.partition("/")
    if not slash:
        raise BadParameter(_("cursor is not valid. Omit it to start with the first bucket."))
    return store, bucket
