"""Adding, enabling and disabling users."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import Invitation
from uploads.problems import Code, Problem, ProblemError
from uploads.services.people.administrators import keeping_an_administrator
from uploads.services.people.invitations import new_invitation, revoke_invitation
from uploads.services.sign_in.sessions import sign_out_everywhere


class UserRefused(ProblemError):
    """The values of a new user cannot be used."""


@transaction.atomic
def invite_user(actor: User | None, username: str, email: str) -> tuple[User, Invitation, str]:
    """A user without a password and without grants, and the link with which the user sets one. Raises UserRefused."""
    # The names Olga and olga would be confused. Django compares names exactly.
    if User.objects.filter(username__iexact=username).exists():
        raise UserRefused(Problem(Code.USERNAME_TAKEN, name=username))
    user = User(username=username, email=email)
    user.set_unusable_password()
    user.save()
    audit.record(actor, "user.added", detail={"user": username}, after={"email": email})
    invitation, secret = new_invitation(actor, user)
    return user, invitation, secret


def set_enabled(actor: User | None, user: User, *, enabled: bool) -> bool:
    """Set whether the user may sign in and use tokens, at once. False if nothing changed. Raises LastAdministrator.

    Disabling ends all sessions and an open invitation, so that enabling brings neither back.
    """
    with keeping_an_administrator():
        if not User.objects.filter(pk=user.pk, is_active=not enabled).update(is_active=enabled):
            return False
        if not enabled:
            revoke_invitation(actor, user)
            sign_out_everywhere(user, actor)
        audit.record(
            actor,
            "user.enabled" if enabled else "user.disabled",
            detail={"user": user.get_username()},
            before={"enabled": not enabled},
            after={"enabled": enabled},
        )
    return True


def set_staff(actor: User | None, user: User, *, is_staff: bool) -> bool:
    """Set whether the user administers everything without a grant. False if nothing changed.

    Raises LastAdministrator.
    """
    with keeping_an_administrator():
        if not User.objects.filter(pk=user.pk, is_staff=not is_staff).update(is_staff=is_staff):
            return False
        audit.record(
            actor,
            "user.changed",
            detail={"user": user.get_username()},
            before={"is_staff": not is_staff},
            after={"is_staff": is_staff},
        )
    return True


@transaction.atomic
def change_email(actor: User | None, user: User, email: str) -> bool:
    """False if nothing changed."""
    before = User.objects.select_for_update().get(pk=user.pk).email
    if before == email:
        return False
    User.objects.filter(pk=user.pk).update(email=email)
    audit.record(
        actor,
        "user.changed",
        detail={"user": user.get_username()},
        before={"email": before},
        after={"email": email},
    )
    return True
