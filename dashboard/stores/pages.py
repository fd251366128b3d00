"""The list of stores, and the buckets of a store. `setup` has the pages that add and change stores."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.shared.explain import explain
from dashboard.shared.jsonapi import wants_json
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages import text_of
from dashboard.shared.messages.providers import notes_on
from dashboard.shared.parameters import BadParameter, Query
from dashboard.shared.responses import explains_failures, see_other
from dashboard.shared.routes import BUCKET
from dashboard.stores.check_report import last_card, last_cards, overrides_in_words
from dashboard.stores.provider_notes import label_of
from dashboard.stores.serializers import store_json
from uploads import access
from uploads.models import Store
from uploads.objectstore.providers import PROVIDERS
from uploads.objectstore.types import Bucket, UploadRef
from uploads.services.browse import browsing


@require_safe
@explains_failures
def stores(request: HttpRequest) -> HttpResponseBase:
    visible = access.stores_to_see(request.user)
    checks = last_cards(visible, lambda check: access.may_see_check(request.user, check))
    rows = [
        {
            "store": store,
            "provider": label_of(store.provider),
            "check": checks.get(store.pk),
            "is_past": not store.enabled or store.is_failing or store.is_in_doubt,
            "may_change": access.may_change_store(request.user, store),
        }
        for store in visible
    ]
    if wants_json(request):
        shown = [store_json(store, with_endpoint=access.may_see_endpoint(request.user, store)) for store in visible]
        return JsonResponse({"stores": shown})
    context = {
        "rows": rows,
        "may_add": access.may_add_stores(request.user),
        "may_change": any(row["may_change"] for row in rows),
    }
    return render(request, "stores/list.html", context)


@require_safe
@explains_failures
def buckets(request: HttpRequest, store: str) -> HttpResponseBase:
    """The listed and the named buckets. If listing is not allowed, the named ones still work."""
    found = access.store_to_see(request.user, store)
    listed = browsing.list_buckets(found).limited_to(access.buckets_to_see(request.user, found))
    refusal = listed.refusal
    found.refresh_from_db()  # The outcome of this request is part of its health.
    context: dict[str, Any] = {
        "store": found,
        "rows": [_bucket_row(found, bucket, bucket.name in listed.entered) for bucket in listed.buckets],
        "provider": label_of(found.provider),
        "may_change": access.may_change_store(request.user, found),
        "last_check": last_card(access.checks_to_see(request.user, found)),
        "remarks": notes_on(found.provider),
        "overrides": overrides_in_words(PROVIDERS.get(found.provider), found.overrides),
        "not_allowed": refusal is not None and refusal.is_denied,
        "explained": explain(refusal) if refusal else None,
        "notes": [text_of(note) for note in listed.notes],
    }
    if refusal and not listed.buckets and wants_json(request):
        raise refusal
    status = 200 if refusal is None or listed.buckets else explain(refusal).http_status
    return render(request, "stores/buckets.html", context, status=status)


def _bucket_row(store: Store, bucket: Bucket, is_entered: bool) -> dict[str, Any]:
    """A bucket whose name cannot be part of a URL is shown without a link."""
    usable = re.fullmatch(BUCKET, bucket.name) is not None
    url = BucketLinks(store.name, bucket.name).uploads if usable else ""
    return {"bucket": bucket, "url": url, "is_entered": is_entered}


@require_safe
@explains_failures
def open_bucket(request: HttpRequest, store: str) -> HttpResponseBase:
    """Go to a bucket by its name, or to an upload by bucket, key and upload id."""
    query = Query(request)
    bucket, key = query.text("bucket").strip(), query.text("key")
    found = access.store_to_list(request.user, store, bucket, [key] if key else [])
    if not re.fullmatch(BUCKET, bucket):
        text = _(
            "“%(name)s” is not a bucket name. Start with a letter or digit, and use letters, digits, “.”, “-” and “_”."
        )
        raise BadParameter(text % {"name": bucket})
    links = BucketLinks(found.name, bucket)
    upload_id = query.text("upload-id").strip()
    if not key and not upload_id:
        return see_other(links.uploads)
    return see_other(links.detail(UploadRef(key, upload_id)))
