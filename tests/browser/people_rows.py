"""Users, groups, grants and tokens in every state, created as rows, and the pages that show them."""

from __future__ import annotations

from datetime import timedelta

from tests.system.stack import Stack

NAMES = {"people-disabled", "people-invited", "people-expired", "people-operator", "people-group", "people-token"}
"""Names that the pages show."""
LONG = "a-prefix-that-no-line-can-break-" * 8
VALUES = {LONG, "photos", "somebody@example.com"}
"""Values that the audit log shows."""


def create(store_name: str, admin: str) -> None:
    """Prints the ids of a user, a group and a token. Call it in a process of the installation."""
    from django.contrib.auth.models import Group, User
    from django.utils import timezone

    from uploads.domain.roles import Role, TokenScope
    from uploads.models import Invitation, Store
    from uploads.services.people.grants import GrantValues, add_grant
    from uploads.services.people.groups import add_group, add_member
    from uploads.services.people.tokens import TokenValues, create_token, revoke_token, token_of
    from uploads.services.people.users import invite_user, set_enabled

    actor, store = User.objects.get(username=admin), Store.objects.get(name=store_name)
    for name in ("people-operator", "people-disabled", "people-invited", "people-expired"):
        invite_user(actor, name, "somebody@example.com")
    Invitation.objects.filter(user__username="people-expired").update(expires_at=timezone.now() - timedelta(days=1))
    set_enabled(actor, User.objects.get(username="people-disabled"), enabled=False)
    user = User.objects.get(username="people-operator")
    group: Group = add_group(actor, "people-group")
    add_member(actor, group, user)
    add_grant(actor, group, GrantValues(role=Role.VIEWER))
    prefix = GrantValues(role=Role.OPERATOR, store=store, bucket="photos", prefix=f"{LONG}/", all_transfers=True)
    add_grant(actor, user, prefix)
    for owner in (user, actor):
        everything = frozenset(TokenScope)
        values = TokenValues(name="people-token", scopes=everything, days=1, places=[(store, "photos", LONG)])
        revoke_token(actor, create_token(owner, values)[0])
        token, secret = create_token(owner, TokenValues(name="people-token", scopes=everything, days=1))
        token_of(secret, "192.0.2.1")
    print(user.pk, group.pk, token.pk)  # noqa: T201 - its result


def pages(stack: Stack) -> list[str]:
    """The pages of people, once for each stack."""
    code = f"from tests.browser.people_rows import create\ncreate({stack.store!r}, {stack.admin.username!r})"
    user, group, token = stack.run_python(code).split()
    return [
        "/users/",
        "/users/?q=nobody-has-this-name",
        "/users/?role=operator",
        "/users/new/",
        f"/users/{user}/",
        f"/users/{user}/disable/",
        "/users/groups/",
        f"/users/groups/{group}/",
        f"/users/groups/{group}/delete/",
        "/tokens/",
        "/tokens/?of=all",
        "/tokens/new/",
        f"/tokens/{token}/revoke/",
    ]
