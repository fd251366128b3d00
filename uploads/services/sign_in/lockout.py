"""Locks after repeated failures to sign in: by account and by address. django-axes counts the failures.

It keeps one row for each pair of a name and an address that failed, and deletes it after SIGN_IN_LOCK_SECONDS without
another failure. Names that are no accounts are counted by a digest, because people type passwords into that field. An
IPv6 client has as many addresses as it likes, so that its network counts: the row has the first address of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from uploads import audit
from uploads.domain.addresses import network_of
from uploads.origin import current

NAME_LENGTH = 150


@dataclass(frozen=True, slots=True)
class Lock:
    """Sign-ins with a name or from an address are refused until then."""

    until: datetime
    is_of_address: bool


def lock_of(name: str | None, address: str | None, now: datetime) -> Lock | None:
    """The lock that ends last. `name` is one of `counted_name`."""
    found = [
        Lock(until, is_of_address)
        for rows, limit, is_of_address in _limits(name, address, now)
        if (until := _locked_until(rows, limit)) is not None
    ]
    return max(found, key=lambda lock: lock.until, default=None)


def counted_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str | None:
    """AXES_USERNAME_CALLABLE: the account that is attempted, or a digest of a name that is none."""
    name = (credentials or {}).get("username")
    if not isinstance(name, str):
        return None
    known: dict[str, str] = request.__dict__.setdefault("_counted_names", {})
    if name not in known:
        known[name] = name if is_account(name) else f"?{salted_hmac('sign-in', name, algorithm='sha256').hexdigest()}"
    return known[name]


def counted_address(_request: HttpRequest) -> str | None:
    """AXES_CLIENT_IP_CALLABLE: of the address that the audit log has. None: the client has none."""
    return _counted(current().address) or None


def is_account(name: str) -> bool:
    return len(name) <= NAME_LENGTH and User.objects.filter(username=name).exists()


class Lockout(AxesDatabaseHandler):  # type: ignore[misc]  # no types
    """AXES_HANDLER: stores nothing of the request but its address, and has separate limits for the two kinds."""

    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """At least AXES_FAILURE_LIMIT if the account or the address is locked. Without a name there is no guessing."""
        name = get_client_username(request, credentials)
        if name is None:
            return 0
        limits = _limits(name, request.axes_ip_address, request.axes_attempt_time)
        return int(settings.AXES_FAILURE_LIMIT) + max(_sum(rows) - limit for rows, limit, _ in limits)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any
    ) -> None:
        if request is None:
            return
        bare: Any = HttpRequest()
        bare.__dict__.update({name: value for name, value in request.__dict__.items() if name.startswith("axes_")})
        bare.axes_user_agent = bare.axes_http_accept = bare.axes_path_info = ""
        super().user_login_failed(sender, credentials, bare, **more)
        for name in ("axes_locked_out", "axes_failures_since_start", "axes_credentials"):
            setattr(request, name, getattr(bare, name))

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """After a success. The failures of the address with other names still count: it may be one who guesses."""
        return _delete(AccessAttempt.objects.filter(username=get_client_username(request, credentials)))


def lift(actor: User | None, *, name: str = "", address: str = "") -> bool:
    """Forget the failures of an account, or of an address. Returns whether there were any."""
    counted = _counted(address)
    if not (name or counted):
        return False
    rows = AccessAttempt.objects.filter(**({"username": name} if name else {"ip_address": counted}))
    with transaction.atomic():
        found = _delete(rows) > 0
        if found:
            audit.record(actor, "sign-in.unlocked", detail={"user": name} if name else {"address": address})
    return found


def lock_of_account(user: User) -> Lock | None:
    """For pages about users."""
    return lock_of(user.get_username(), None, timezone.now())


def delete_old(before: datetime, batch: int) -> int:
    """Delete some rows whose last failure does not count any more. Each failure deletes them too."""
    old = AccessAttempt.objects.filter(attempt_time__lt=before).values_list("pk", flat=True)
    return _delete(AccessAttempt.objects.filter(pk__in=list(old[:batch])))


def lock_time() -> timedelta:
    return timedelta(seconds=settings.SIGN_IN_LOCK_SECONDS)


_Rows = QuerySet[AccessAttempt]


def _limits(name: str | None, address: str | None, now: datetime) -> list[tuple[_Rows, int, bool]]:
    """The rows that count for the name and for the address, their limit, and whether it is that of the address."""
    rows = AccessAttempt.objects.filter(attempt_time__gt=now - lock_time())
    limits = []
    if name:
        limits.append((rows.filter(username=name), settings.SIGN_IN_ACCOUNT_FAILURES, False))
    if address:
        limits.append((rows.filter(ip_address=address), settings.SIGN_IN_ADDRESS_FAILURES, True))
    return limits


def _counted(address: str) -> str:
    """What an address is counted by. The column takes addresses only, so that the length of a network is left out."""
    return network_of(address).partition("/")[0]


def _sum(rows: _Rows) -> int:
    return sum(rows.values_list("failures_since_start", flat=True))


def _locked_until(rows: _Rows, limit: int) -> datetime | None:
    """When so many rows are too old that the rest is below the limit. None: it is already."""
    ordered = list(rows.order_by("attempt_time").values_list("attempt_time", "failures_since_start"))
    left, until = sum(count for _, count in ordered), None
    for at, count in ordered:
        if left < limit:
            break
        left, until = left - count, at + lock_time()
    return until


def _delete(rows: _Rows) -> int:
    return int(rows.delete()[0])
