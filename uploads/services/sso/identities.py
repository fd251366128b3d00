"""Which user somebody is who signed in at the provider, and in which groups.

The provider's issuer and subject decide, never a name: a person there who is called `admin` is not the `admin` here.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.utils import timezone

from uploads import audit
from uploads.models import SignOnIdentity
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sso import configuration
from uploads.services.sso.provider import Person

MOST_CHARACTERS = 150
"""In the name of a user, as Django's model has it."""
ATTEMPTS = 5
"""To find a name while others with the same one sign in for the first time."""
_NOT_IN_NAMES = re.compile(r"[^\w.@+-]")
"""What Django's validator of names does not allow."""


class SignInRefused(ProblemError):
    """The provider knows this person, and they may not sign in here. `user`: who they are here, if somebody."""

    def __init__(self, problem: Problem, user: User | None = None) -> None:
        super().__init__(problem)
        self.user = user


def user_of(person: Person) -> User:
    """The user, with the groups that the provider names. A person who is new becomes a user. Raises SignInRefused."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _user_of(person)
        except IntegrityError:
            # The same person signs in twice at the same time, or another one has just got the name.
            continue
    return _user_of(person)


@transaction.atomic
def _user_of(person: Person) -> User:
    found = SignOnIdentity.objects.filter(issuer=person.issuer, subject=person.subject)
    identity = found.select_related("user").first()
    _check_groups(person, identity.user if identity else None)
    if identity is None:
        identity = _linked(person) or _created(person)
    user = identity.user
    if not user.is_active:
        raise SignInRefused(Problem(Code.SSO_USER_DISABLED), user)
    _follow_groups(identity, person)
    identity.signed_in_at = timezone.now()
    identity.save(update_fields=["signed_in_at", "made_administrator"])
    return user


def _check_groups(person: Person, user: User | None) -> None:
    roles = configuration.roles()
    if not roles.targets:
        return
    if person.groups is None:
        # With the groups of an earlier sign-in, somebody who has left a group would keep its rights.
        raise SignInRefused(Problem(Code.SSO_GROUPS_LEFT_OUT), user)
    if settings.OIDC_REQUIRE_GROUP and not roles.is_known(person.groups):
        raise SignInRefused(Problem(Code.SSO_NO_GROUP), user)


# --- Users ------------------------------------------------------------------------------------------------------------


def _linked(person: Person) -> SignOnIdentity | None:
    """An existing user with the e-mail address that the provider has verified, if a setting allows that.

    A user who has an identity at this provider is somebody else: an address can be given to another person.
    """
    if not settings.OIDC_LINK_BY_EMAIL or not person.email_verified or not person.email:
        return None
    users = User.objects.filter(email__iexact=person.email).exclude(sign_on_identities__issuer=person.issuer)
    candidates = users.exclude(username=settings.OIDC_BREAK_GLASS_USER or None)
    found = [user for user in candidates if _is_same_address(user.email, person.email)]
    if len(found) > 1:
        raise SignInRefused(Problem(Code.SSO_EMAIL_AMBIGUOUS, email=person.email))
    if not found:
        return None
    identity = _identity(found[0], person)
    audit.record(found[0], "single-sign-on.user-linked", detail={"issuer": person.issuer, "subject": person.subject})
    return identity


def _is_same_address(one: str, other: str) -> bool:
    """Only ASCII letters match in both cases. For databases, and for `casefold`, the address of another person with
    letters such as `ı`, `ſ` or the Kelvin sign can be the same as well (CVE-2019-19844).
    """
    return one.encode().lower() == other.encode().lower()


def _created(person: Person) -> SignOnIdentity:
    """A user without a password and without grants, except for those of the groups."""
    if not settings.OIDC_CREATE_USERS:
        raise SignInRefused(Problem(Code.SSO_NO_ACCOUNT))
    email = person.email if person.email_verified else ""
    user = User(username=_free_name(person), email=email[:254])
    user.set_unusable_password()
    user.save()
    identity = _identity(user, person)
    audit.record(user, "single-sign-on.user-created", detail={"issuer": person.issuer, "subject": person.subject})
    return identity


def _identity(user: User, person: Person) -> SignOnIdentity:
    return SignOnIdentity.objects.create(user=user, issuer=person.issuer, subject=person.subject)


def _free_name(person: Person) -> str:
    """The name at the provider, with a number if it is taken here."""
    wanted = next(
        filter(None, map(_as_name, (person.username, person.email.partition("@")[0], person.subject))), "user"
    )
    name, number = wanted, 1
    while name == settings.OIDC_BREAK_GLASS_USER or User.objects.filter(username__iexact=name).exists():
        number += 1
        name = f"{wanted[: MOST_CHARACTERS - 10]}-{number}"
    return name


def _as_name(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-")[:MOST_CHARACTERS]


# --- Groups -----------------------------------------------------------------------------------------------------------


def _follow_groups(identity: SignOnIdentity, person: Person) -> None:
    """Put the user into the mapped groups that the provider names, and take them out of the others.

    Groups that are not mapped belong to the administrators here. So does `is_staff`, unless the provider gave it.
    """
    roles, user = configuration.roles(), identity.user
    claimed = person.groups or frozenset()
    before = frozenset(user.groups.values_list("name", flat=True))
    after = before - roles.groups | roles.groups_of(claimed)
    if after != before:
        user.groups.remove(*Group.objects.filter(name__in=before - after))
        user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in sorted(after - before)))
    was_administrator = user.is_staff
    _follow_administrators(identity, is_one=roles.is_administrator(claimed))
    if after != before or user.is_staff != was_administrator:
        old = {"groups": sorted(before), "administrator": was_administrator}
        new = {"groups": sorted(after), "administrator": user.is_staff}
        audit.record(user, "single-sign-on.groups-changed", before=old, after=new)


def _follow_administrators(identity: SignOnIdentity, *, is_one: bool) -> None:
    user = identity.user
    if is_one and not user.is_staff:
        user.is_staff = identity.made_administrator = True
    elif not is_one and identity.made_administrator:
        user.is_staff = identity.made_administrator = False
    else:
        return
    user.save(update_fields=["is_staff"])
