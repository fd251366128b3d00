"""The page of a one-time link: its user sets a password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard.people.user_forms import PasswordForm
from dashboard.shared.errors import refuse
from dashboard.shared.messages import text_of
from dashboard.shared.parameters import Query
from dashboard.shared.responses import explains_failures, see_other
from uploads.services.people.invitations import InvitationRefused, accept_invitation, invitation_of
from uploads.services.people.tokens import has_tokens


@login_not_required
@never_cache
@sensitive_post_parameters("token", "password", "again")
@require_http_methods(["GET", "POST"])
@explains_failures
def invitation(request: HttpRequest) -> HttpResponseBase:
    """The secret is in the query, not in the path, which Django logs with every refused request."""
    secret = request.POST.get("token", "") if request.method == "POST" else Query(request).text("token")
    form = PasswordForm(request.POST if request.method == "POST" else None)
    try:
        user = invitation_of(secret).user
        if form.is_valid():
            accept_invitation(secret, form.cleaned_data["password"])
            messages.success(request, _("The password is set. Sign in with it."))
            return see_other(reverse("login"))
    except InvitationRefused as refusal:
        return _refused(request, refusal)
    except ValidationError as error:
        form.add_error("password", error)
    context = {"form": form, "secret": secret, "name": user.get_username(), "has_tokens": has_tokens(user)}
    return render(request, "people/invitation.html", context, status=400 if form.errors else 200)


def _refused(request: HttpRequest, refusal: InvitationRefused) -> HttpResponse:
    title, text, code = _("This link cannot be used"), text_of(refusal.problem), refusal.problem.code
    return refuse(request, 410, title, text, code=code, back=reverse("login"), back_text=_("Sign in"))
