"""The access tokens of a user; administrators see and revoke those of all users."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from dashboard.people.token_form import TokenForm
from dashboard.shared.parameters import Query
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.domain.roles import Action
from uploads.models import AccessToken
from uploads.selectors.people import find_tokens
from uploads.services.people.tokens import TokenNotCreated, create_token, revoke_token

PAGE_SIZE = 100


@require_safe
@explains_failures
def tokens(request: HttpRequest) -> HttpResponseBase:
    """One's own tokens, newest first; with `?of=all`, those of all users."""
    query = Query(request)
    may_see_all = access.may(request.user, Action.MANAGE_USERS)
    of_all = may_see_all and query.text("of") == "all"
    before = query.number("before", 0, 1, 10**9 - 1)
    # One more token than is shown reveals whether there is another page.
    rows = access.tokens_to_see(request.user) if of_all else access.own_tokens(request.user)
    found = find_tokens(rows, before=before, limit=PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    given: dict[str, str | int] = {"of": "all"} if of_all else {}
    context = {
        "tokens": shown,
        "of_all": of_all,
        "may_see_all": may_see_all,
        "is_first_page": not before,
        "newest_query": urlencode(given),
        "older_query": urlencode(given | {"before": shown[-1].pk}) if len(found) > PAGE_SIZE else "",
    }
    return render(request, "people/tokens.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@explains_failures
def new_token(request: HttpRequest) -> HttpResponseBase:
    """The response to POST shows the secret, which no other page can show."""
    owner = access.actor_to_create_tokens(request.user)
    form = TokenForm(request.POST if request.method == "POST" else None, user=request.user)
    if form.is_valid():
        try:
            token, secret = create_token(owner, form.values())
        except TokenNotCreated as refusal:
            form.add_refusal(refusal)
        else:
            return _created(request, token, secret)
    return render(request, "people/new_token.html", {"form": form}, status=400 if form.errors else 200)


def _created(request: HttpRequest, token: AccessToken, secret: str) -> HttpResponse:
    context = {"token": token, "secret": secret, "stores_url": request.build_absolute_uri(reverse("stores"))}
    return render(request, "people/token_created.html", context)


@require_http_methods(["GET", "POST"])
@explains_failures
def revoke(request: HttpRequest, token_id: int) -> HttpResponseBase:
    """GET: a page that explains the consequences."""
    token = access.token_to_revoke(request.user, token_id)
    actor = access.actor(request.user)
    if request.method == "GET":
        return render(request, "people/revoke_token.html", {"token": token, "is_own": token.user_id == actor.pk})
    if revoke_token(actor, token):
        messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    else:
        messages.info(request, _("The token “%(name)s” was revoked already.") % {"name": token.name})
    return see_other(reverse("tokens") + ("" if token.user_id == actor.pk else "?of=all"))
