"""Closing a card for good. It is a preference of one user that changes nothing else, so it is not in the audit log."""

from __future__ import annotations

from django.contrib.auth.models import User

from uploads.models import Dismissal

FIRST_STEPS = "first-steps"


def dismiss(user: User, card: str) -> None:
    """Do not show the card to this user again. May be repeated."""
    Dismissal.objects.get_or_create(user=user, card=card)


def is_dismissed(user: User, card: str) -> bool:
    return Dismissal.objects.filter(user=user, card=card).exists()
