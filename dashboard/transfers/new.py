"""The page of a new transfer, and its requests while it is filled in: the buckets, the plan, the current object."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.shared.explain import explain
from dashboard.shared.jsonapi import with_retry_after
from dashboard.shared.messages import error_code, refusal_text, store_error_text, text_of
from dashboard.transfers.form import NewTransferForm, NewTransferValues
from dashboard.transfers.in_the_way import InTheWay
from dashboard.transfers.parsing import parse_part_count, parse_part_size, parse_size
from dashboard.transfers.refusals import refusal_fields, request_id_of
from dashboard.transfers.resuming import RESUME, resumable_transfer
from dashboard.transfers.rows import rows_of
from dashboard.transfers.serializers import fields_error_json
from uploads import access
from uploads.access import AnyUser
from uploads.domain.planning import Plan, PlanRefused, plan_parts
from uploads.models import Store, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.keys import check_bucket, check_key
from uploads.problems import Code, Problem
from uploads.selectors.transfers import waiting_for_file
from uploads.services.browse.browsing import head_object, list_buckets, may_forbid_overwrite
from uploads.services.transfers.start import TransferRefused, limits_of, require_destination

STORAGE_CLASSES = (
    ("STANDARD", "S3"),
    ("STANDARD_IA", _("S3: infrequent access")),
    ("ONEZONE_IA", _("S3: infrequent access, one zone")),
    ("INTELLIGENT_TIERING", "S3"),
    ("GLACIER_IR", _("S3: archive, instant retrieval")),
    ("GLACIER", _("S3: archive")),
    ("DEEP_ARCHIVE", _("S3: deep archive")),
    ("REDUCED_REDUNDANCY", "S3"),
    ("Standard", "OSS"),
    ("IA", _("OSS: infrequent access")),
    ("Archive", "OSS"),
    ("ColdArchive", "OSS"),
    ("DeepColdArchive", "OSS"),
)
"""Suggestions: a store may have other classes."""


VERIFY_CHOICES = (
    {"value": "", "label": _("No"), "hint": _("sizes and the digests of all parts are verified in any case")},
    {
        "value": "sha256",
        "label": _("Compute it in the browser while sending"),
        "hint": _("the object must equal the file on this computer"),
    },
    {"value": "pasted", "label": _("Compare with a digest that I paste"), "hint": _("for a single file")},
)


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The empty form. `store`, `bucket`, `prefix` and `key` can be given in the query."""
    return render_form(request)


def render_form(
    request: HttpRequest,
    *,
    values: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
    in_the_way: InTheWay | None = None,
) -> HttpResponse:
    """The form, empty or with the values and their errors.

    `errors` are by the field's name in the page. `file` is one of them; an empty name stands for the whole form.
    The form offers to discard the transfer `in_the_way`.
    """
    resumed = resumable_transfer(request.user, (values or request.GET).get(RESUME, ""))
    form = _filled_form(request, values, resumed)
    remaining = dict(errors or {})
    for name in set(remaining) & {form.add_prefix(field) for field in form.fields}:
        if name not in form.field_errors():
            form.add_error(name.replace("-", "_"), remaining.pop(name))
    stores = access.stores_to_transfer_to(request.user)
    context = {
        "form": form,
        "file_error": remaining.pop("file", ""),
        "other_errors": [message for name, message in remaining.items() if name not in form.field_errors()],
        "refused": errors is not None,
        "options_open": form.has_option_errors(),
        "options_summary": form.options_summary(),
        "in_the_way": in_the_way,
        "resumed": resumed,
        "has_stores": stores.exists(),
        "buckets": _known_buckets(request.user, form["store"].value() or "", list(stores)),
        "storage_classes": STORAGE_CLASSES,
        "verify_choices": VERIFY_CHOICES,
        "unfinished": rows_of(waiting_for_file(request.user)),
    }
    return render(request, "transfers/new.html", context, status=status)


def _filled_form(request: HttpRequest, values: Mapping[str, str] | None, resumed: Transfer | None) -> NewTransferForm:
    if values is not None:
        return NewTransferForm(user=request.user, data=values)
    given = {name: request.GET.get(name, "") for name in ("store", "bucket", "prefix", "key")}
    if resumed is not None:
        given |= {"store": resumed.store.name, "bucket": resumed.bucket, "key": resumed.key}
    return NewTransferForm(user=request.user, initial=given)


def _known_buckets(user: AnyUser, store_name: str, stores: list[Store]) -> list[str]:
    """The buckets that are known without a request to the store. JavaScript fetches the others."""
    store = next((store for store in stores if store.name == store_name), stores[0] if stores else None)
    if store is None:
        return []
    granted = access.buckets_to_send_to(user, store)
    return [bucket.name for bucket in store.named_buckets.all()] if granted is None else sorted(granted)


@require_safe
def buckets(request: HttpRequest) -> HttpResponse:
    """The options of the bucket field: what the store lists, or what an administrator entered.

    A note says if the store lists more buckets than were read.
    """
    store = access.store_to_transfer_to(request.user, request.GET.get("store", ""))
    listed = list_buckets(store).limited_to(access.buckets_to_send_to(request.user, store))
    context = {"buckets": [bucket.name for bucket in listed.buckets], "bucket_notes": listed.notes}
    return render(request, "transfers/_bucket_options.html", context)


@require_safe
def plan(request: HttpRequest) -> HttpResponse:
    """The plan for a file of `size` bytes, or why there is none."""
    store = access.store_to_transfer_to(request.user, request.GET.get("store", ""))
    context: dict[str, object] = {"limits": limits_of(store)}
    try:
        planned = plan_for(store, request.GET)
    except ValidationError as refusal:
        context["refusal"] = " ".join(refusal.messages)
    except PlanRefused as refusal:
        context["refusal"] = text_of(refusal.problem)
    else:
        if planned is not None:
            context.update(plan=planned, last_size=planned.part(planned.part_count).size)
    return render(request, "transfers/_plan.html", context)


def plan_for(store: Store, fields: Mapping[str, str]) -> Plan | None:
    """The plan for the fields `size`, `part-size` and `part-count`; None while no file is selected.

    Raises PlanRefused; ValidationError if a field is not a number.
    """
    part_size = parse_part_size(fields.get("part-size", ""))
    part_count = parse_part_count(fields.get("part-count", ""))
    if part_size is not None and part_count is not None:
        raise PlanRefused(Problem(Code.PART_SIZE_AND_COUNT))
    size = parse_size(fields.get("size", ""))
    if size is None:
        return None
    return plan_parts(size, limits_of(store), part_size=part_size, part_count=part_count)


@require_safe
def existing(request: HttpRequest) -> HttpResponse:
    """The current object at the key: none, one to be replaced, or unknown because the store does not allow HEAD."""
    bucket, key = request.GET.get("bucket", ""), request.GET.get("key", "")
    is_named = bool(bucket and key)
    store = access.store_to_transfer_to(
        request.user, request.GET.get("store", ""), bucket if is_named else "", [key] if is_named else []
    )
    if not is_named:
        return render(request, "transfers/_existing.html", {"not_checked": True})
    try:
        check_bucket(bucket)
        check_key(key)
        current = head_object(store, bucket, key)
    except ObjectStoreError as error:
        return render(request, "transfers/_existing.html", {"explained": explain(error)})
    context = {
        "checked": True,
        "facts": current.facts,
        "key": key,
        "head_forbidden": current.refusal is not None,
        "forbids_overwrite": may_forbid_overwrite(store),
    }
    return render(request, "transfers/_existing.html", context)


@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Check the text fields and the file's size before the file is sent: 204, or the errors by field.

    An upload that is refused while it is being sent can cost an hour, and browsers often lose the response.
    """
    form = NewTransferForm(user=request.user, data=request.POST)
    errors = {} if form.is_valid() else form.field_errors()
    if form.is_forbidden:
        problem = Problem(Code.ACCESS_DENIED)
        return JsonResponse(fields_error_json(problem.code, text_of(problem), errors), status=403)
    try:
        if not errors:
            errors = _plan_errors(form.values().store, request.POST)
        if not errors:
            values = form.values()
            require_destination(values.store, values.bucket, values.key)
            errors = _replace_errors(values)
    except TransferRefused as refusal:
        return _refused_there(refusal)
    except ObjectStoreError as error:
        return _not_checked(error)
    if not errors:
        return HttpResponse(status=204)
    problem = Problem(Code.INVALID_FORM)
    return JsonResponse(fields_error_json(problem.code, text_of(problem), errors), status=400)


def _refused_there(refusal: TransferRefused) -> HttpResponse:
    """The store accepts no file at the destination: its code and request id, and the field to change."""
    text = refusal_text(refusal.problem, refusal.store_error)
    body = fields_error_json(refusal.code, text, refusal_fields(refusal), request_id_of(refusal))
    return JsonResponse(body, status=refusal.status)


def _not_checked(error: ObjectStoreError) -> HttpResponse:
    """The store did not say whether the object exists: its code, and its text as the error of the whole form."""
    explained = explain(error)
    errors = {"": f"{explained.title}. {store_error_text(error)}"}
    body = fields_error_json(error_code(error), text_of(Problem(Code.INVALID_FORM)), errors)
    return with_retry_after(JsonResponse(body, status=explained.http_status), explained.retry_after)


def _replace_errors(values: NewTransferValues) -> dict[str, str]:
    """An existing object that is not to be replaced. Raises ObjectStoreError."""
    if values.replace or not values.key or not head_object(values.store, values.bucket, values.key).facts:
        return {}
    return {"replace": gettext("Confirm that the object is to be replaced, or enter another key.")}


def _plan_errors(store: Store, fields: Mapping[str, str]) -> dict[str, str]:
    try:
        plan_for(store, fields)
    except ValidationError as refusal:
        return {"file": " ".join(refusal.messages)}
    except PlanRefused as refusal:
        given = [name for name in ("part-count", "part-size") if fields.get(name, "").strip()]
        return {(given or ["file"])[0]: text_of(refusal.problem)}
    return {}
