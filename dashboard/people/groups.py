"""Groups: the list, the page of one, and what administrators do with them."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.people.grant_form import GrantForm
from dashboard.people.user_forms import GroupForm, MemberForm
from dashboard.people.users import conflict
from dashboard.shared.messages import text_of
from dashboard.shared.responses import explains_failures, see_other
from uploads import access
from uploads.selectors.people import Held, find_groups, members_of, names_of, user_named
from uploads.services.people import groups as services
from uploads.services.people.administrators import LastAdministrator


@require_http_methods(["GET", "POST"])
@explains_failures
def groups(request: HttpRequest) -> HttpResponseBase:
    """All groups. POST adds one."""
    visible, may_manage = access.groups_to_see(request.user), access.may_manage_users(request.user)
    form = GroupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        actor = access.actor_to_manage_users(request.user)
        if form.is_valid():
            try:
                group = services.add_group(actor, form.cleaned_data["name"])
            except services.GroupRefused as refusal:
                form.add_error("name", text_of(refusal.problem))
            else:
                return see_other(reverse("group", args=[group.pk]))
    rows = find_groups(visible, access.grants_to_see(request.user))
    context = {"rows": rows, "form": form, "may_manage": may_manage}
    return render(request, "people/groups.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@explains_failures
def group(request: HttpRequest, group_id: int) -> HttpResponseBase:
    """The page of a group. POST grants a role."""
    found = access.group_to_see(request.user, group_id)
    form = GrantForm(request.POST if request.method == "POST" else None, user=request.user)
    if form.grant_to(found):
        messages.success(request, _("The role was granted."))
        return see_other(reverse("group", args=[group_id]))
    return _group_page(request, found, form, MemberForm())


def _group_page(request: HttpRequest, found: Group, form: GrantForm, member_form: MemberForm) -> HttpResponse:
    may_manage = access.may_manage_users(request.user)
    context = {
        "group": found,
        "held": [Held(grant) for grant in access.grants_to_see(request.user).filter(group=found)],
        "members": members_of(found),
        "may_manage": may_manage,
        "grant_form": form,
        "member_form": member_form,
        "names": names_of(access.users_to_see(request.user)) if may_manage else [],
        "removable": set(access.roles_to_grant(request.user)),
    }
    is_wrong = bool(form.errors or member_form.errors)
    return render(request, "people/group.html", context, status=400 if is_wrong else 200)


@require_POST
@explains_failures
def members(request: HttpRequest, group_id: int) -> HttpResponseBase:
    """Adds a member, or removes one: `remove` is the name."""
    found = access.group_to_manage(request.user, group_id)
    actor, back = access.actor(request.user), reverse("group", args=[group_id])
    leaving = user_named(access.users_to_see(request.user), request.POST.get("remove", ""))
    if leaving is not None:
        try:
            services.remove_member(actor, found, leaving)
        except LastAdministrator as refusal:
            return conflict(request, refusal, back)
        return see_other(back)
    form = MemberForm(request.POST)
    joining = user_named(access.users_to_see(request.user), form["member"].value() or "")
    if form.is_valid() and joining is None:
        form.add_error("member", _("There is no user with this name."))
    if joining is None or form.errors:
        return _group_page(request, found, GrantForm(user=request.user), form)
    services.add_member(actor, found, joining)
    return see_other(back)


@require_http_methods(["GET", "POST"])
@explains_failures
def delete(request: HttpRequest, group_id: int) -> HttpResponseBase:
    """GET: a page that explains the consequences."""
    found = access.group_to_manage(request.user, group_id)
    if request.method == "GET":
        return render(request, "people/delete_group.html", {"group": found, "members": members_of(found)})
    try:
        services.delete_group(access.actor(request.user), found)
    except LastAdministrator as refusal:
        return conflict(request, refusal, reverse("group", args=[group_id]))
    messages.success(request, _("The group %(name)s was deleted.") % {"name": found.name})
    return see_other(reverse("groups"))
