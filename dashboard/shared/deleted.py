"""The page of something that was deleted after its time: what the audit log knows about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from dashboard.shared.jsonapi import json_error, wants_json
from dashboard.shared.messages import text_of
from dashboard.shared.responses import same_address
from uploads.access import Deleted
from uploads.selectors.audit import lines_of

P = ParamSpec("P")


def shows_deleted(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Respond with 410 and the audit entries of what the address names, instead of a bare 404."""

    @wraps(view)
    def showing(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Deleted as deleted:
            text = text_of(deleted.problem)
            if wants_json(request):
                return same_address(json_error(deleted.problem.code, text, status=410))
            context = {"title": _("Deleted"), "text": text, "lines": lines_of(deleted.entries)}
            return same_address(render(request, "deleted.html", context, status=410))

    return showing
