"""Stores, and the buckets of one."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from dashboard.explain import explain
from dashboard.forms import StoreForm
from dashboard.jsonapi import wants_json
from dashboard.links import BucketLinks
from dashboard.parameters import BadParameter, Query
from dashboard.routes import BUCKET
from dashboard.views.common import explains_failures, see_other
from uploads import access
from uploads.models import Store
from uploads.objectstore.errors import Reason
from uploads.objectstore.providers import PROVIDERS
from uploads.objectstore.types import Bucket
from uploads.services import browsing
from uploads.services import stores as services
from uploads.services.preflight import UploadName


@require_GET
@explains_failures
def stores(request: HttpRequest) -> HttpResponseBase:
    rows = [
        {"store": store, "provider": PROVIDERS[store.provider].label if store.provider in PROVIDERS else store.provider}
        for store in access.visible_stores(request.user)
    ]
    context = {"rows": rows, "may_change": access.is_administrator(request.user)}
    return render(request, "stores/list.html", context)


@require_GET
@explains_failures
def buckets(request: HttpRequest, store: str) -> HttpResponseBase:
    """ListBuckets and the named ones; where listing is not allowed the named ones still work."""
    found = access.get_store(request.user, store)
    listed = browsing.list_buckets(found)
    refusal = listed.refusal
    context: dict[str, Any] = {
        "store": found,
        "rows": [_bucket_row(found, bucket) for bucket in listed.buckets],
        "provider": browsing.provider_of(found) if found.provider in PROVIDERS else None,
        "may_change": access.is_administrator(request.user),
        "not_allowed": refusal is not None and refusal.reason is Reason.PERMISSION,
        "explained": explain(refusal) if refusal else None,
    }
    if refusal and not listed.buckets and wants_json(request):
        raise refusal
    status = 200 if refusal is None or listed.buckets else explain(refusal).http_status
    return render(request, "stores/buckets.html", context, status=status)


def _bucket_row(store: Store, bucket: Bucket) -> dict[str, Any]:
    """A bucket whose name cannot stand in a URL is shown without a link."""
    usable = re.fullmatch(BUCKET, bucket.name) is not None
    return {"bucket": bucket, "url": BucketLinks(store.name, bucket.name).uploads if usable else ""}


@require_GET
@explains_failures
def open_bucket(request: HttpRequest, store: str) -> HttpResponseBase:
    """Go to a bucket by its name, or to an upload by bucket, key and upload id."""
    found = access.get_store(request.user, store)
    query = Query(request)
    bucket = query.text("bucket").strip()
    if not re.fullmatch(BUCKET, bucket):
        raise BadParameter(
            f"bucket is {bucket!r}: letters, digits, '.', '-' and '_' are allowed, beginning with a letter or digit."
        )
    links = BucketLinks(found.name, bucket)
    key, upload_id = query.text("key"), query.text("upload-id").strip()
    if not key and not upload_id:
        return see_other(links.uploads)
    return see_other(links.detail(UploadName(key, upload_id)))


@require_http_methods(["GET", "POST"])
@explains_failures
def add_store(request: HttpRequest) -> HttpResponseBase:
    actor = access.require_administrator(request.user)
    form = StoreForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            store = services.add_store(actor, form.values())
        except ValidationError as error:
            form.take_errors(error)
        else:
            messages.success(request, f"The store {store.name} was added. Below is what it answers.")
            return see_other(reverse("store", args=[store.name]))
    return _form_page(request, form, None)


@require_http_methods(["GET", "POST"])
@explains_failures
def edit_store(request: HttpRequest, store: str) -> HttpResponseBase:
    actor = access.require_administrator(request.user)
    found = access.get_store_to_change(request.user, store)
    form = StoreForm(request.POST or None, store=found)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_store(actor, found, form.values())
        except ValidationError as error:
            form.take_errors(error)
        else:
            messages.success(request, f"The store {store} was changed. Below is what it answers.")
            return see_other(reverse("store", args=[store]))
    return _form_page(request, form, store)


def _form_page(request: HttpRequest, form: StoreForm, name: str | None) -> HttpResponse:
    context = {"form": form, "store_name": name, "providers": list(PROVIDERS.values())}
    return render(request, "stores/form.html", context, status=400 if form.errors else 200)
