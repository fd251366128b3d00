"""The overview: stores with their state, transfers and operations in progress, and what needs attention."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dashboard.overview.hidden import hidden_context
from dashboard.shared.explain import explain
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import text_of
from dashboard.shared.responses import is_fragment, same_address, see_other
from dashboard.transfers.rows import rows_of
from uploads import access
from uploads.domain.store_health import StoreHealth, health_after
from uploads.models import Store, StoreUpload
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadRef
from uploads.selectors.operations import operation_progress, operations_in_progress
from uploads.selectors.overview import Attention, attention
from uploads.selectors.transfers import transfers_in_progress
from uploads.services.browse.browsing import list_buckets
from uploads.services.people.dismissals import FIRST_STEPS, dismiss, is_dismissed

MAX_SHOWN = 20
"""Rows of what is in progress. The pages of transfers and operations have the rest."""

LIVE_SECONDS, IDLE_SECONDS = 2, 15
"""How often the page is updated while something moves, and while nothing does."""


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The page, or the part of it that is polled. A fragment for each store requests that store's state."""
    stores = list(access.stores_to_see(request.user))
    shown = _digest_of(stores)
    rows = rows_of(transfers_in_progress(request.user, MAX_SHOWN))
    operations = list(operations_in_progress(request.user)[:MAX_SHOWN])
    progress = operation_progress(operations)
    context: dict[str, Any] = {
        "rows": rows,
        "stores": stores,
        "may_add": access.may_add_stores(request.user),
        "poll_url": f"{reverse('overview')}?stores={shown}",
        "stores_changed": request.GET.get("stores", shown) != shown,
        "operations": [(operation, progress[operation.pk]) for operation in operations],
        "attention": [_attention_row(each) for each in attention(request.user)],
        "poll_seconds": LIVE_SECONDS if operations or any(row.is_live for row in rows) else IDLE_SECONDS,
    }
    if is_fragment(request):
        return same_address(render(request, "overview/_live.html", context))
    context["stores_changed"] = False
    context["first_steps"] = bool(stores) and not is_dismissed(access.actor(request.user), FIRST_STEPS)
    context |= hidden_context(request)
    return same_address(render(request, "overview.html", context))


@require_POST
def dismiss_first_steps(request: HttpRequest) -> HttpResponse:
    """Close the card of the first steps for this user, on every device."""
    dismiss(access.actor(request.user), FIRST_STEPS)
    return see_other(reverse("overview"))


def _digest_of(stores: Sequence[Store]) -> str:
    """A digest of what the list of stores shows without a request to them: a poll gets the list only if it changes."""
    facts = [(store.name, store.endpoint_url, store.shown_health, store.is_in_doubt) for store in stores]
    return f"{zlib.crc32(repr(facts).encode()):08x}"


def _attention_row(attention: Attention) -> dict[str, Any]:
    orphan = attention.possible_orphan
    return {
        "store": attention.store,
        "transfer": attention.transfer,
        "waiting": attention.waiting_transfer,
        "operation": attention.operation,
        "failed_items": attention.failed_items,
        "unknown_items": attention.unknown_items,
        "silent_node": attention.silent_node,
        "silent_since": attention.silent_since,
        "waiting_transfers": attention.waiting_transfers,
        "possible_orphan": orphan,
        "lost_create": attention.lost_create,
        "more": attention.more,
        "upload_url": _upload_url(orphan) if orphan else "",
    }


def _upload_url(row: StoreUpload) -> str:
    transfer = row.transfer
    return BucketLinks(transfer.store.name, transfer.bucket).detail(UploadRef(transfer.key, row.upload_id))


@require_safe
def store_state(request: HttpRequest, store: str) -> HttpResponse:
    """The state of one store, by one ListBuckets. A store that refuses to list buckets is reachable."""
    found = access.store_to_see(request.user, store)
    context: dict[str, object] = {"store": found}
    if found.enabled:
        buckets = list_buckets(found).limited_to(access.buckets_to_see(request.user, found))
        context["bucket_count"] = len(buckets.buckets)
        context["notes"] = [text_of(note) for note in buckets.notes]
        context["may_list"] = not _lacks_permission(buckets.refusal)
        if buckets.refusal is not None and context["may_list"]:
            context["explained"] = explain(buckets.refusal)
            context["health"] = _health_after(buckets.refusal)
    template = "overview/_store_state.html" if is_fragment(request) else "overview/store_state.html"
    return same_address(render(request, template, context))


def _health_after(refusal: ObjectStoreError) -> str:
    """What this request met; the store's health needs more than one."""
    found = health_after(refusal)
    return "failed" if found in (None, StoreHealth.ANSWERS) else str(found)


def _lacks_permission(error: ObjectStoreError | None) -> bool:
    return error is not None and error.is_denied
