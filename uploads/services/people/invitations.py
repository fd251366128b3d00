"""One-time links: a user who was invited, or who has forgotten the password, sets a password with one."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.domain.secrets import MAX_LENGTH, digest_of, new_secret
from uploads.models import Invitation
from uploads.problems import Code, Problem, ProblemError
from uploads.services.people.tokens import revoke_tokens
from uploads.services.sign_in.passwords import check_rules
from uploads.services.sign_in.sessions import sign_out_everywhere


class InvitationRefused(ProblemError):
    """The link cannot be used, or none can be made."""


@transaction.atomic
def new_invitation(actor: User | None, user: User) -> tuple[Invitation, str]:
    """A link's row, and its secret, which cannot be read again. Earlier links end. Raises InvitationRefused."""
    if not User.objects.select_for_update().get(pk=user.pk).is_active:
        raise InvitationRefused(Problem(Code.INVITED_USER_DISABLED))
    _revoke_open(user)
    secret = new_secret()
    expires_at = timezone.now() + timedelta(hours=settings.INVITATION_HOURS)
    invitation = Invitation.objects.create(user=user, digest=digest_of(secret), created_by=actor, expires_at=expires_at)
    _record(actor, "created", user, after={"expires_at": expires_at.isoformat()})
    return invitation, secret


@transaction.atomic
def revoke_invitation(actor: User | None, user: User) -> bool:
    """False if the user has no open link."""
    if not _revoke_open(user):
        return False
    _record(actor, "revoked", user)
    return True


def _revoke_open(user: User) -> int:
    return Invitation.objects.filter(user=user, used_at=None, revoked_at=None).update(revoked_at=timezone.now())


def invitation_of(secret: str) -> Invitation:
    """The open invitation with this secret. Raises InvitationRefused with the reason for any other."""
    rows = Invitation.objects.select_related("user")
    found = rows.filter(digest=digest_of(secret)).first() if len(secret) <= MAX_LENGTH else None
    if found is None:
        raise InvitationRefused(Problem(Code.INVITATION_UNKNOWN))
    if found.used_at is not None:
        raise InvitationRefused(Problem(Code.INVITATION_USED))
    if found.revoked_at is not None or not found.user.is_active:
        raise InvitationRefused(Problem(Code.INVITATION_REVOKED))
    if found.is_expired:
        raise InvitationRefused(Problem(Code.INVITATION_EXPIRED))
    return found


def accept_invitation(secret: str, password: str) -> User:
    """Set the password of the user. Sessions and access tokens of the user end: a link is for accounts in doubt.

    Raises ValidationError for a password that breaks a rule, and InvitationRefused.
    """
    invitation = invitation_of(secret)
    user = invitation.user
    check_rules(password, user)
    # A hash takes long: no transaction waits for it.
    hashed = make_password(password)
    with transaction.atomic():
        now = timezone.now()
        unused = Invitation.objects.filter(pk=invitation.pk, used_at=None, revoked_at=None, expires_at__gt=now)
        if not unused.update(used_at=now):
            raise InvitationRefused(Problem(Code.INVITATION_USED))
        if not User.objects.filter(pk=user.pk, is_active=True).update(password=hashed):
            raise InvitationRefused(Problem(Code.INVITATION_REVOKED))
        _record(user, "used", user)
        sign_out_everywhere(user, user)
        revoke_tokens(user, user.get_username())
    return user


def _record(actor: User | None, what: str, user: User, *, after: dict[str, str] | None = None) -> None:
    audit.record(actor, f"invitation.{what}", detail={"user": user.get_username()}, after=after)
