"""Grants for the users of tests."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User

from uploads.domain.roles import Role
from uploads.models import Grant


def grant(holder: User | Group, role: Role = Role.OPERATOR, **where: Any) -> Grant:
    """A role for a user or a group: everywhere, or limited by `store`, `bucket` and `prefix`."""
    held = {"group": holder} if isinstance(holder, Group) else {"user": holder}
    return Grant.objects.create(role=role.value, **held, **where)


def make_operator(name: str, **values: Any) -> User:
    """A new user who is an operator of all stores."""
    user = User.objects.create_user(name, **values)
    grant(user)
    return user
