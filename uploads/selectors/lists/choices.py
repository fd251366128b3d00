"""Reading how a user wants to see a list."""

from __future__ import annotations

from uploads import access
from uploads.access import AnyUser
from uploads.models import ListChoice


def choice_of(user: AnyUser, name: str) -> ListChoice | None:
    return ListChoice.objects.filter(user=access.actor(user), name=name).first()
