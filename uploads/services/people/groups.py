"""Groups of users: a grant of a group is valid for its members."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group, User
from django.db import transaction

from uploads import audit
from uploads.models import Grant
from uploads.problems import Code, Problem, ProblemError
from uploads.services.people.administrators import keeping_an_administrator
from uploads.services.people.grants import facts


class GroupRefused(ProblemError):
    """The name of a new group is in use."""


@transaction.atomic
def add_group(actor: User | None, name: str) -> Group:
    """Raises GroupRefused."""
    if Group.objects.filter(name__iexact=name).exists():
        raise GroupRefused(Problem(Code.GROUP_NAME_TAKEN, name=name))
    group = Group.objects.create(name=name)
    audit.record(actor, "group.added", detail={"group": name})
    return group


def delete_group(actor: User | None, group: Group) -> None:
    """Its members lose the grants of the group. Raises LastAdministrator."""
    with keeping_an_administrator():
        before = {
            "members": sorted(group.user_set.values_list("username", flat=True)),
            "grants": [facts(grant) for grant in Grant.objects.filter(group=group).select_related("store")],
        }
        group.delete()
        audit.record(actor, "group.deleted", detail={"group": group.name}, before=before)


@transaction.atomic
def add_member(actor: User | None, group: Group, user: User) -> bool:
    """False if the user is a member already."""
    Group.objects.select_for_update().get(pk=group.pk)
    if group.user_set.filter(pk=user.pk).exists():
        return False
    group.user_set.add(user)
    audit.record(actor, "group.member-added", detail={"group": group.name, "user": user.get_username()})
    return True


def remove_member(actor: User | None, group: Group, user: User) -> bool:
    """False if the user is no member. Raises LastAdministrator."""
    with keeping_an_administrator():
        Group.objects.select_for_update().get(pk=group.pk)
        if not group.user_set.filter(pk=user.pk).exists():
            return False
        group.user_set.remove(user)
        audit.record(actor, "group.member-removed", detail={"group": group.name, "user": user.get_username()})
    return True


def set_groups(actor: User | None, user: User, groups: Iterable[Group]) -> bool:
    """Let the user be a member of exactly these groups. False if nothing changed. Raises LastAdministrator."""
    wanted = {group.pk: group for group in groups}
    with keeping_an_administrator():
        current = {group.pk: group for group in user.groups.select_for_update()}
        if wanted.keys() == current.keys():
            return False
        user.groups.set(wanted.values())
        audit.record(
            actor,
            "user.changed",
            detail={"user": user.get_username()},
            before={"groups": sorted(group.name for group in current.values())},
            after={"groups": sorted(group.name for group in wanted.values())},
        )
    return True
