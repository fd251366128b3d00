"""Responses that the pages of a store share: error pages, fragments for htmx, redirects after a POST."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.translation import gettext as _

from dashboard.shared.errors import refuse
from dashboard.shared.explain import explain
from dashboard.shared.jsonapi import store_error, wants_json, with_retry_after
from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import BadParameter
from uploads.objectstore.errors import ObjectStoreError

P = ParamSpec("P")
Response = TypeVar("Response", bound=HttpResponseBase)


def same_address(response: Response) -> Response:
    """A page, its fragment and its JSON have the same address, and each is outdated after a second."""
    patch_vary_headers(response, ["Accept", "HX-Request"])
    add_never_cache_headers(response)
    return response


def explains_failures(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Respond to a bad parameter with 400, and to a store's failure with a page that explains it."""

    @wraps(view)
    def explaining(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
        except BadParameter as error:
            response = bad_parameter(request, error)
        except ObjectStoreError as error:
            response = store_failed(request, error, **_place(kwargs))
        return same_address(response)

    return explaining


def bad_parameter(request: HttpRequest, error: BadParameter) -> HttpResponse:
    return refuse(
        request,
        400,
        _("Invalid parameter"),
        _("%(problem)s No request was sent to the store.") % {"problem": error},
        code="InvalidArgument",
        back=request.path if request.method == "GET" and request.path.endswith("/uploads/") else "",
        back_text=_("To the first page"),
    )


def store_failed(request: HttpRequest, error: ObjectStoreError, store: str = "", bucket: str = "") -> HttpResponse:
    """A page that explains the failure, or JSON with the store's code and request id."""
    if wants_json(request):
        return store_error(error)
    explained = explain(error)
    context = {"explained": explained, "store_name": store, "bucket": bucket}
    if store and bucket:
        context["links"] = BucketLinks(store, bucket)
    response = render(request, "stores/failure.html", context, status=explained.http_status)
    return with_retry_after(response, explained.retry_after)


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx requests a fragment of the page. Going back in the history needs the whole page."""
    headers = request.headers
    return headers.get("HX-Request") == "true" and headers.get("HX-History-Restore-Request") != "true"


def see_other(url: str) -> HttpResponse:
    """A redirect with status 303, which the client follows with GET whatever the method was."""
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response


def _place(kwargs: Any) -> dict[str, str]:
    """The store and bucket of the view's URL, for the breadcrumb."""
    return {name: str(kwargs[name]) for name in ("store", "bucket") if name in kwargs}
