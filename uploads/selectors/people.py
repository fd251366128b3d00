"""Reading users, groups and access tokens for their pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.db.models import Count, Q, QuerySet

from uploads.database.prepared import First, Given
from uploads.domain.roles import ROLES, Role
from uploads.models import AccessToken, Grant, Invitation


def find_tokens(tokens: QuerySet[AccessToken], *, before: int = 0, limit: int) -> list[AccessToken]:
    """The newest tokens below the id `before`, with their users and places."""
    if before:
        tokens = tokens.filter(pk__lt=before)
    return list(tokens.select_related("user").prefetch_related("places__store")[:limit])


def user_as_stored(user: User) -> User:
    """The user as the row is now, with the grants not yet read."""
    return User.objects.get(pk=user.pk)


_ACTIVE = First(User, lambda: User.objects.filter(pk=Given(User, "id"), is_active=True))


def active_user(user_id: int) -> User | None:
    """The user, unless disabled or gone. Every request needs it, so its statement is built once."""
    return _ACTIVE(id=user_id)


@dataclass(frozen=True, slots=True)
class Held:
    """A grant of a user, its own or that of a group."""

    grant: Grant
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as lists show it: the grants that the viewer may see, and the open invitation."""

    user: User
    held: Sequence[Held]
    invitation: Invitation | None

    @property
    def state(self) -> str:
        """disabled, invited (has not set a password yet), invitation-expired, no-password, or active."""
        if not self.user.is_active:
            return "disabled"
        if self.user.has_usable_password() or self.user.last_login is not None:
            return "active"
        if self.invitation is None:
            return "no-password"
        return "invitation-expired" if self.invitation.is_expired else "invited"

    @property
    def is_marked(self) -> bool:
        """Whether the user administers everything without a grant, as commands can set."""
        return self.user.is_staff

    @property
    def roles(self) -> Sequence[tuple[Role, str]]:
        """The highest roles first, each with the name of its store; '' for all stores."""
        found = {(Role(held.grant.role), held.grant.store.name if held.grant.store else "") for held in self.held}
        if self.is_marked:
            found.add((Role.ADMINISTRATOR, ""))
        return sorted(found, key=lambda each: (-ROLES.index(each[0]), each[1]))


def find_users(
    users: QuerySet[User],
    grants: QuerySet[Grant],
    *,
    text: str = "",
    in_addresses: bool,
    role: str = "",
    after: str = "",
    limit: int,
) -> list[UserRow]:
    """Users by name, behind the name `after`. `text`: a part of the name, or of the address; `role`: with such a grant.

    `in_addresses` only for a viewer who sees addresses: searching would show them letter by letter.
    """
    if text:
        found = Q(username__icontains=text)
        users = users.filter(found | Q(email__icontains=text) if in_addresses else found)
    if role:
        users = users.filter(_with_role(grants, Role(role)))
    if after:
        users = users.filter(username__gt=after)
    return rows_of(list(users.order_by("username")[:limit]), grants)


def _with_role(grants: QuerySet[Grant], role: Role) -> Q:
    found = grants.filter(role=role).order_by()
    members = User.groups.through.objects.filter(group__in=found.filter(group__isnull=False).values("group"))
    condition = Q(pk__in=found.filter(user__isnull=False).values("user")) | Q(pk__in=members.values("user"))
    return condition | Q(is_staff=True) if role == Role.ADMINISTRATOR else condition


def rows_of(users: Sequence[User], grants: QuerySet[Grant]) -> list[UserRow]:
    """The rows of users, with four queries however many they are."""
    held: dict[int, list[Held]] = {user.pk: [] for user in users}
    grants = grants.select_related("store", "group", "created_by")
    for grant in grants.filter(user__in=held):
        held[grant.user_id or 0].append(Held(grant))
    members = User.groups.through.objects.filter(user__in=held).values_list("user_id", "group_id")
    in_group: dict[int, list[int]] = {}
    for user_id, group_id in members:
        in_group.setdefault(group_id, []).append(user_id)
    for grant in grants.filter(group__in=in_group):
        for user_id in in_group[grant.group_id or 0]:
            held[user_id].append(Held(grant, grant.group))
    open_ones = Invitation.objects.filter(user__in=held, used_at=None, revoked_at=None)
    invitations = {invitation.user_id: invitation for invitation in open_ones}
    return [UserRow(user, held[user.pk], invitations.get(user.pk)) for user in users]


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as lists show it."""

    group: Group
    members: int
    grants: list[Grant]


def find_groups(groups: QuerySet[Group], grants: QuerySet[Grant]) -> list[GroupRow]:
    """All groups by name, with those of their grants."""
    counted = groups.annotate(members=Count("user")).order_by("name")
    rows = {group.pk: GroupRow(group, group.members, []) for group in counted}
    for grant in grants.filter(group__isnull=False).select_related("store"):
        if grant.group_id in rows:
            rows[grant.group_id].grants.append(grant)
    return list(rows.values())


def groups_by_name(groups: QuerySet[Group]) -> list[Group]:
    return list(groups.order_by("name"))


def members_of(group: Group) -> list[User]:
    return list(group.user_set.order_by("username"))


def user_named(users: QuerySet[User], name: str) -> User | None:
    return users.filter(username=name).first()


def names_of(users: QuerySet[User], limit: int = 1000) -> list[str]:
    """The first names, for the suggestions of a field."""
    return list(users.filter(is_active=True).order_by("username").values_list("username", flat=True)[:limit])
