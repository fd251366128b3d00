"""How users want to see lists. It changes nothing but pages, so that it is not in the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User

from uploads.models import ListChoice
from uploads.models.list_choice import Density


def choose(user: User, name: str, columns: Sequence[str], density: Density) -> None:
    values = {"columns": list(columns), "density": density.value}
    ListChoice.objects.update_or_create(user=user, name=name, defaults=values)


def forget_choice(user: User, name: str) -> None:
    """Show the list as it is shown to everybody."""
    ListChoice.objects.filter(user=user, name=name).delete()
