"""The account of the signed-in user: password, second factor, sessions."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.account.forms import PasswordForm
from dashboard.shared.jsonapi import with_retry_after
from dashboard.shared.messages import text_of
from dashboard.shared.numbers import count_text
from dashboard.shared.responses import see_other
from dashboard.shared.without_second_factor import without_second_factor
from uploads import access
from uploads.services.people.tokens import revoke_tokens
from uploads.services.sign_in import passwords, second_factor, sessions
from uploads.services.sign_in.second_factor import AlreadySetUp, CodeRefused


@never_cache
@require_http_methods(["GET", "HEAD"])
def account(request: HttpRequest) -> HttpResponseBase:
    user = access.actor(request.user)
    return render(request, "account/account.html", _facts(user) | {"sessions": sessions.sessions_of(user).count()})


def _facts(user: User) -> dict[str, Any]:
    return {
        "has_password": user.has_usable_password(),
        "is_set_up": second_factor.is_set_up(user),
        "is_required": second_factor.is_required(user),
        "codes_left": second_factor.recovery_codes_left(user),
    }


# --- Password ---------------------------------------------------------------------------------------------------------


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponseBase:
    user = access.actor(request.user)
    form = PasswordForm(request, user)
    if request.method == "POST" and form.is_valid():
        # First: if the password cannot be changed then, no token is left that should be gone.
        revoked = revoke_tokens(user, user.get_username()) if form.cleaned_data["revoke_tokens"] else 0
        key = request.session.session_key
        passwords.change_password(user, form.cleaned_data["new"], user, keep_session=key)
        update_session_auth_hash(request, user)
        messages.success(request, _("Your password was changed. You are signed out everywhere else."))
        if revoked:
            text = ngettext("%(count)s token revoked.", "%(count)s tokens revoked.", revoked)
            messages.success(request, text % {"count": count_text(revoked)})
        return see_other(reverse("account"))
    return render(request, "account/password.html", {"form": form, "rules": password_validators_help_texts()})


# --- Second factor ----------------------------------------------------------------------------------------------------


@sensitive_post_parameters()
@sensitive_variables()
@never_cache
@without_second_factor
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor_page(request: HttpRequest) -> HttpResponseBase:
    """The page to set up an app for codes, and to renew recovery codes or to remove the app with a code of it."""
    user = access.actor(request.user)
    if request.method != "POST":
        return _page(request, user)
    action, code = request.POST.get("action", ""), request.POST.get("code", "")
    try:
        return _act(request, user, action, code)
    except CodeRefused as refused:
        status = 429 if refused.wait_seconds else 400
        response = _page(request, user, status=status, error=text_of(refused.problem), action=action)
        return with_retry_after(response, refused.wait_seconds or None)
    except AlreadySetUp as already:
        messages.info(request, text_of(already.problem))
        return see_other(reverse("second-factor"))


def _act(request: HttpRequest, user: User, action: str, code: str) -> HttpResponse:
    if action == "begin":
        second_factor.begin(user)
    elif action == "confirm":
        codes = second_factor.confirm(user, code, keep_session=request.session.session_key)
        request.session[second_factor.VERIFIED] = True
        request.session.cycle_key()
        return render(request, "account/recovery_codes.html", {"codes": codes})
    elif action == "renew":
        return render(request, "account/recovery_codes.html", {"codes": second_factor.renew_recovery_codes(user, code)})
    elif action == "remove":
        second_factor.remove(user, code)
        messages.success(request, _("The app was removed. Signing in needs the password only."))
    return see_other(reverse("second-factor"))


def _page(request: HttpRequest, user: User, *, status: int = 200, error: str = "", action: str = "") -> HttpResponse:
    context = _facts(user) | {"error": error, "action": action, "enrolment": second_factor.enrolment(user)}
    if context["enrolment"]:
        context["picture"] = _qr_code(context["enrolment"].url)
        secret = context["enrolment"].secret
        context["secret"] = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    return render(request, "account/second_factor.html", context, status=status)


def _qr_code(url: str) -> str:
    """An SVG without styles, black on white in dark mode too, as cameras expect it."""
    import segno  # For this page only.

    return mark_safe(segno.make(url, error="m").svg_inline(scale=5, border=3, light="#fff"))  # noqa: S308 - no text


# --- Sessions ---------------------------------------------------------------------------------------------------------


@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponseBase:
    """Also here: whoever uses this may not know which of the open browsers is a stranger's."""
    user = access.actor(request.user)
    sessions.sign_out_everywhere(user, user)
    request.session.flush()
    messages.success(request, _("You are signed out everywhere."))
    return see_other(reverse("login"))
