"""Users: the list, the page of one, and what administrators do with them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.people.grant_form import GrantForm
from dashboard.people.mail import is_configured, mail_link
from dashboard.people.user_forms import EmailForm, GroupsForm, NewUserForm
from dashboard.shared.errors import refuse
from dashboard.shared.messages import text_of
from dashboard.shared.messages.access import ROLES
from dashboard.shared.parameters import Query
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.domain.roles import Role
from uploads.models import Invitation
from uploads.problems import ProblemError
from uploads.selectors.people import find_tokens, find_users, groups_by_name, rows_of
from uploads.services.people import groups as group_services
from uploads.services.people import users as services
from uploads.services.people.administrators import LastAdministrator
from uploads.services.people.grants import remove_grant
from uploads.services.people.invitations import InvitationRefused, new_invitation, revoke_invitation
from uploads.services.sign_in import second_factor
from uploads.services.sign_in.lockout import lift, lock_of_account
from uploads.services.sign_in.sessions import sessions_of, sign_out_everywhere

PAGE_SIZE = 100
SHOWN_TOKENS = 20


@require_safe
@explains_failures
def users(request: HttpRequest) -> HttpResponseBase:
    """All users by name, filtered. `after` is the last name of the page before."""
    query = Query(request)
    filters = {"q": query.text("q").strip(), "role": query.text("role")}
    if filters["role"] not in set(Role):
        filters["role"] = ""
    may_manage = access.may_manage_users(request.user)
    rows = find_users(
        access.users_to_see(request.user),
        access.grants_to_see(request.user),
        text=filters["q"],
        in_addresses=may_manage,
        role=filters["role"],
        after=query.text("after"),
        limit=PAGE_SIZE + 1,
    )
    shown = rows[:PAGE_SIZE]
    given = {name: value for name, value in filters.items() if value}
    context = {
        "rows": shown,
        "filters": filters,
        "is_filtered": bool(given),
        "roles": [(role.value, text) for role, text in ROLES.items()],
        "may_manage": may_manage,
        "after": query.text("after"),
        "first_query": urlencode(given),
        "next_query": urlencode(given | {"after": shown[-1].user.username}) if len(rows) > PAGE_SIZE else "",
    }
    return render(request, "people/users.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@explains_failures
def new_user(request: HttpRequest) -> HttpResponseBase:
    """The response to POST shows the link, which no other page can show."""
    actor = access.actor_to_manage_users(request.user)
    form = NewUserForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            user, invitation, secret = services.invite_user(actor, **form.cleaned_data)
        except services.UserRefused as refusal:
            form.add_error("username", text_of(refusal.problem))
        else:
            return _link_page(request, user, invitation, secret)
    context = {"form": form, "sends_mail": is_configured()}
    return render(request, "people/new_user.html", context, status=400 if form.errors else 200)


def _link_page(request: HttpRequest, user: User, invitation: Invitation, secret: str) -> HttpResponse:
    link = request.build_absolute_uri(reverse("invitation") + "?" + urlencode({"token": secret}))
    context = {
        "person": user,
        "invitation": invitation,
        "link": link,
        "not_mailed": mail_link(user, invitation, link),
    }
    return render(request, "people/link.html", context)


@require_http_methods(["GET", "POST"])
@explains_failures
def user(request: HttpRequest, user_id: int) -> HttpResponseBase:
    """The page of a user. POST grants a role."""
    found = access.user_to_see(request.user, user_id)
    form = GrantForm(request.POST if request.method == "POST" else None, user=request.user)
    if form.grant_to(found):
        messages.success(request, _("The role was granted."))
        return see_other(reverse("user", args=[user_id]))
    return _user_page(request, found, grant_form=form)


def _user_page(
    request: HttpRequest, found: User, grant_form: GrantForm | None = None, email_form: EmailForm | None = None
) -> HttpResponse:
    (row,) = rows_of([found], access.grants_to_see(request.user))
    may_manage = access.may_manage_users(request.user)
    context: dict[str, Any] = {
        "row": row,
        "person": found,
        "may_manage": may_manage,
        "is_self": found.pk == request.user.pk,
        "grant_form": grant_form or GrantForm(user=request.user),
        "removable": set(access.roles_to_grant(request.user)),
    }
    if may_manage:
        all_groups = groups_by_name(access.groups_to_see(request.user))
        context |= {
            "groups_form": GroupsForm(groups=all_groups, current=groups_by_name(found.groups.all())),
            "email_form": email_form or EmailForm(initial={"email": found.email}),
            "sessions": sessions_of(found).count(),
            "lock": lock_of_account(found),
            "has_second_factor": second_factor.is_set_up(found),
            "tokens": find_tokens(access.tokens_to_see(request.user).filter(user=found), limit=SHOWN_TOKENS),
        }
    is_wrong = any(form is not None and form.errors for form in (grant_form, email_form))
    return render(request, "people/user.html", context, status=400 if is_wrong else 200)


@require_POST
@explains_failures
def remove(request: HttpRequest, grant_id: int) -> HttpResponseBase:
    """Takes a role away from a user or a group."""
    grant = access.grant_to_remove(request.user, grant_id)
    back = reverse("user", args=[grant.user_id]) if grant.user_id else reverse("group", args=[grant.group_id])
    try:
        remove_grant(access.actor(request.user), grant)
    except LastAdministrator as refusal:
        return conflict(request, refusal, back)
    messages.success(request, _("The role was taken away."))
    return see_other(back)


@require_POST
@explains_failures
def set_groups(request: HttpRequest, user_id: int) -> HttpResponseBase:
    actor, found = access.actor_to_manage_users(request.user), access.user_to_manage(request.user, user_id)
    known = groups_by_name(access.groups_to_see(request.user))
    form = GroupsForm(request.POST, groups=known, current=[])
    if not form.is_valid():
        return _not_understood(request, user_id, _("One of these groups was deleted. Open the page again."))
    chosen = [group for group in known if str(group.pk) in form.cleaned_data["groups"]]
    try:
        changed = group_services.set_groups(actor, found, chosen)
    except LastAdministrator as refusal:
        return conflict(request, refusal, reverse("user", args=[user_id]))
    messages.success(request, _("The groups were saved.") if changed else _("The groups were not changed."))
    return see_other(reverse("user", args=[user_id]))


def _not_understood(request: HttpRequest, user_id: int, text: str) -> HttpResponse:
    title, back = _("Nothing was changed"), reverse("user", args=[user_id])
    return refuse(request, 400, title, text, code="InvalidForm", back=back, back_text=_("Back to the user"))


@require_POST
@explains_failures
def set_email(request: HttpRequest, user_id: int) -> HttpResponseBase:
    actor, found = access.actor_to_manage_users(request.user), access.user_to_manage(request.user, user_id)
    form = EmailForm(request.POST)
    if not form.is_valid():
        return _user_page(request, found, email_form=form)
    services.change_email(actor, found, form.cleaned_data["email"])
    messages.success(request, _("The e-mail address was saved."))
    return see_other(reverse("user", args=[user_id]))


@require_http_methods(["GET", "POST"])
@explains_failures
def disable(request: HttpRequest, user_id: int) -> HttpResponseBase:
    """GET: a page that explains the consequences."""
    found = access.user_to_manage(request.user, user_id)
    if request.method == "GET":
        return render(request, "people/disable_user.html", {"person": found})
    try:
        services.set_enabled(access.actor(request.user), found, enabled=False)
    except LastAdministrator as refusal:
        return conflict(request, refusal, reverse("user", args=[user_id]))
    messages.success(request, _("%(name)s is disabled.") % {"name": found.get_username()})
    return see_other(reverse("user", args=[user_id]))


@require_POST
@explains_failures
def enable(request: HttpRequest, user_id: int) -> HttpResponseBase:
    found = access.user_to_manage(request.user, user_id)
    services.set_enabled(access.actor(request.user), found, enabled=True)
    messages.success(request, _("%(name)s is enabled.") % {"name": found.get_username()})
    return see_other(reverse("user", args=[user_id]))


@require_POST
@explains_failures
def remove_staff(request: HttpRequest, user_id: int) -> HttpResponseBase:
    """Takes away the mark of an administrator that commands set (is_staff)."""
    found = access.user_to_manage(request.user, user_id)
    try:
        services.set_staff(access.actor(request.user), found, is_staff=False)
    except LastAdministrator as refusal:
        return conflict(request, refusal, reverse("user", args=[user_id]))
    messages.success(request, _("The role was taken away."))
    return see_other(reverse("user", args=[user_id]))


@require_POST
@explains_failures
def sign_out(request: HttpRequest, user_id: int) -> HttpResponseBase:
    found = access.user_to_manage(request.user, user_id)
    sign_out_everywhere(found, access.actor(request.user))
    messages.success(request, _("All sessions of %(name)s have ended.") % {"name": found.get_username()})
    return see_other(reverse("user", args=[user_id]))


@require_POST
@explains_failures
def reset_second_factor(request: HttpRequest, user_id: int) -> HttpResponseBase:
    """For a user who has lost the app and the recovery codes."""
    found = access.user_to_manage(request.user, user_id)
    if second_factor.reset(found, access.actor(request.user)):
        messages.success(request, _("The second factor was removed, and all sessions have ended."))
    else:
        messages.info(request, _("There was no second factor."))
    return see_other(reverse("user", args=[user_id]))


@require_POST
@explains_failures
def unlock(request: HttpRequest, user_id: int) -> HttpResponseBase:
    """Lifts the lock after repeated failures to sign in."""
    found = access.user_to_manage(request.user, user_id)
    name = found.get_username()
    if lift(access.actor(request.user), name=name):
        messages.success(request, _("%(name)s may sign in again.") % {"name": name})
    else:
        messages.info(request, _("There were no failures to forget."))
    return see_other(reverse("user", args=[user_id]))


@never_cache
@require_POST
@explains_failures
def new_link(request: HttpRequest, user_id: int) -> HttpResponseBase:
    """A link with which the user sets a new password. An earlier one ends."""
    found = access.user_to_manage(request.user, user_id)
    try:
        invitation, secret = new_invitation(access.actor(request.user), found)
    except InvitationRefused as refusal:
        return conflict(request, refusal, reverse("user", args=[user_id]))
    return _link_page(request, found, invitation, secret)


@require_POST
@explains_failures
def revoke_link(request: HttpRequest, user_id: int) -> HttpResponseBase:
    found = access.user_to_manage(request.user, user_id)
    if revoke_invitation(access.actor(request.user), found):
        messages.success(request, _("The link no longer works."))
    else:
        messages.info(request, _("There was no open link."))
    return see_other(reverse("user", args=[user_id]))


def conflict(request: HttpRequest, refusal: ProblemError, back: str) -> HttpResponse:
    """409: the page of a change that the site does not make."""
    title, text, code = _("Nothing was changed"), text_of(refusal.problem), refusal.problem.code
    return refuse(request, 409, title, text, code=code, back=back, back_text=_("Back"))
