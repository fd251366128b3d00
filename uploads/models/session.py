"""Sessions of the dashboard. Unlike Django's, each row names its user, so that all sessions of a user can be ended."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class Session(AbstractBaseSession):
    """`expire_date` is the earlier one of the idle limit and the absolute limit. No user: nobody is signed in yet."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    signed_in_at = models.DateTimeField(null=True)

    class Meta(AbstractBaseSession.Meta):
        verbose_name = "session"

    def __str__(self) -> str:
        return f"session of user {self.user_id}"
