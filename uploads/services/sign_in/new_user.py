"""Adding a user with a password, without the dashboard: the first administrator, and users of scripts."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.domain.roles import Role
from uploads.models import Grant
from uploads.services.sign_in.passwords import check_rules


def add_user(actor: User | None, name: str, password: str, *, role: Role | None = None, email: str = "") -> User:
    """A user with a role for all stores, or none. An administrator is staff. Raises ValidationError."""
    user = User(username=name, email=email, is_staff=role is Role.ADMINISTRATOR)
    user.is_superuser = user.is_staff
    user.set_unusable_password()
    user.full_clean(exclude=["password"])
    check_rules(password, user)
    user.set_password(password)
    with transaction.atomic():
        user.save(force_insert=True)
        if role is not None and not user.is_staff:
            Grant.objects.create(user=user, role=role.value, created_by=actor)
        audit.record(actor, "user.added", after={"user": name, "role": role.value if role else ""})
    return user
