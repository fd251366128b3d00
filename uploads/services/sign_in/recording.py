"""What is recorded when somebody signs in or out, whichever way they use: receivers of Django's signals."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from uploads import audit
from uploads.services.sign_in import sessions


def _was_sent(request: HttpRequest | None) -> bool:
    """Whether somebody sent the request. Commands and tests sign users in with an empty one."""
    return request is not None and "REMOTE_ADDR" in request.META


@receiver(user_logged_in)
def _signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    sessions.begin(request.session)
    if _was_sent(request):
        audit.record(user, "sign-in.done")


@receiver(user_logged_out)
def _signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None and _was_sent(request):
        audit.record(user, "sign-in.ended")
