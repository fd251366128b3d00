"""Who may sign in with a password, and who with the provider. Sessions name the backend that they began with."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from uploads.services.sso import configuration

SINGLE_SIGN_ON = "dashboard.sso.backends.SingleSignOn"


class Passwords(ModelBackend):
    """Only the break-glass account, if OIDC_ONLY is set. Other sessions that began with a password end."""

    def user_can_authenticate(self, user: Any) -> bool:
        return super().user_can_authenticate(user) and configuration.may_use_password(user.get_username())


class SingleSignOn(ModelBackend):
    """The users of sessions that began at the provider. Without a provider, these sessions end."""

    def authenticate(self, request: Any, username: Any = None, password: Any = None, **kwargs: Any) -> None:
        """Nobody signs in with a password here."""
