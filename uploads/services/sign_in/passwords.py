"""Rules for passwords, and changing them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from uploads import audit
from uploads.services.sign_in.sessions import sign_out_everywhere


def check_rules(password: str, user: User) -> None:
    """Raise ValidationError with each rule that the password breaks. The user may be one that is not saved yet."""
    validate_password(password, user)


def change_password(user: User, password: str, actor: User | None, *, keep_session: str | None = None) -> None:
    """Set a password and end all sessions of the user, except the one with this key. Raises ValidationError."""
    check_rules(password, user)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(actor, "password.changed", detail={"user": user.get_username()})
        sign_out_everywhere(user, actor, except_key=keep_session)
