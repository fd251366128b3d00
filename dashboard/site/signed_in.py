"""The user of a session, found by a statement that is built once: every request needs it."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from uploads.selectors.people import active_user

_BACKEND = f"{ModelBackend.__module__}.{ModelBackend.__qualname__}"


class SignedIn(AuthenticationMiddleware):
    """Django's middleware, which decides itself about sessions that are not plain, as after a change of password."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: _user_of(request))  # type: ignore[assignment]


def _user_of(request: HttpRequest) -> User | AnonymousUser:
    user = _plainly_signed_in(request)
    return auth.get_user(request) if user is None else user


def _plainly_signed_in(request: HttpRequest) -> User | None:
    """The active user whose password has not changed since; None if Django has to decide."""
    session = request.session
    user_id: str | None = session.get(auth.SESSION_KEY)
    if user_id is None or session.get(auth.BACKEND_SESSION_KEY) != _BACKEND:
        return None
    if _BACKEND not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = active_user(int(user_id))
    if user is None or not constant_time_compare(session.get(auth.HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    return user
