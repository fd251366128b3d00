"""A site keeps a user who can administer it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from uploads.domain.roles import Role
from uploads.models import Grant
from uploads.problems import Code, Problem, ProblemError


class LastAdministrator(ProblemError):
    """The change would leave nobody who can administer the site."""


def administrators() -> QuerySet[User]:
    """Active administrators of everything who can sign in: with a password, or as they did before."""
    grants = Grant.objects.filter(role=Role.ADMINISTRATOR)
    groups = User.groups.through.objects.filter(group__in=grants.filter(group__isnull=False).values("group"))
    has_role = Q(is_staff=True) | Q(pk__in=grants.filter(user__isnull=False).values("user"))
    has_role |= Q(pk__in=groups.values("user"))
    can_sign_in = ~Q(password__startswith=UNUSABLE_PASSWORD_PREFIX) | Q(last_login__isnull=False)
    return User.objects.filter(has_role, can_sign_in, is_active=True)


@contextmanager
def keeping_an_administrator() -> Iterator[None]:
    """A transaction for a change that takes rights away. Raises LastAdministrator, and changes nothing then.

    One such change runs at a time, or two administrators could disable each other.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().filter(pk__in=administrators().values("pk")).order_by("pk")
        had_one = bool(list(locked.values_list("pk", flat=True)))
        yield
        if had_one and not administrators().exists():
            raise LastAdministrator(Problem(Code.LAST_ADMINISTRATOR))
