"""Second factors: setting up an app that shows codes, checking them, recovery codes, and who needs one.

An app is set up in two steps, so that nobody is locked out by one that never worked: `begin` makes a key, and `confirm`
needs a code of it.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from base64 import b32encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from uploads import audit
from uploads.domain.roles import Role, is_at_least
from uploads.domain.secrets import digest_of
from uploads.grants import grants_of
from uploads.models.fields import SecretUnreadable, is_readable
from uploads.models.second_factor import DIGITS, STEP_SECONDS, RecoveryCode, TotpDevice, new_key
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sign_in.sessions import sign_out_everywhere

log = logging.getLogger(__name__)

VERIFIED = "second_factor"
"""In a session: its user has shown a second factor."""

ISSUER = "Partway"
RECOVERY_CODES = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike."""
GROUPS, GROUP = 3, 5
"""15 letters are 74 bits."""


class CodeRefused(ProblemError):
    """The code is wrong, was used before, or came too soon after a wrong one: then `wait_seconds` is not 0."""

    def __init__(self, problem: Problem, wait_seconds: int = 0) -> None:
        super().__init__(problem)
        self.wait_seconds = wait_seconds


class AlreadySetUp(ProblemError):
    """The user has a second factor."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the app needs: as an address for a QR code, and to type."""

    url: str
    secret: str


# --- Who needs one, and who has one -----------------------------------------------------------------------------------


def is_required(user: User) -> bool:
    """Whether a role of the user is one of TOTP_REQUIRED_ROLES, or includes one of them."""
    required = [Role(role) for role in settings.TOTP_REQUIRED_ROLES]
    return bool(required) and any(
        is_at_least(permission.role, least) for permission in grants_of(user) for least in required
    )


def is_set_up(user: User) -> bool:
    return bool(TotpDevice.objects.filter(user=user, confirmed=True).exists())


def is_missing(session: SessionBase, user: User) -> bool:
    """Whether the user must set one up, or show it, before anything else.

    Not for requests with an access token, which have no session, and not after single sign-on: the provider has its
    own.
    """
    if not settings.TOTP_REQUIRED_ROLES or VERIFIED in session:
        return False
    backend = session.get(BACKEND_SESSION_KEY)
    return backend is not None and backend not in settings.BACKENDS_WITH_OWN_FACTORS and is_required(user)


def recovery_codes_left(user: User) -> int:
    return RecoveryCode.objects.filter(user=user).count()


# --- Between the password and the code --------------------------------------------------------------------------------

EXPECTED = "second_factor_expected"
"""In a session without a user: who has given the right password, and has not shown a second factor yet."""

EXPECTED_SECONDS = 600


class Expected(NamedTuple):
    """What happens after the right code: who is signed in by which backend, and sees which page."""

    user: int
    backend: str
    auth_hash: str
    at: float
    next_url: str


def expect(session: SessionBase, user: User, next_url: str) -> None:
    """Remember who has given the right password."""
    backend: str = user.backend
    session[EXPECTED] = Expected(user.pk, backend, user.get_session_auth_hash(), time.time(), next_url)


def expected_user(session: SessionBase) -> User | None:
    """Who has given the right password a short time ago. Not if it has been changed, or the user disabled, since."""
    if EXPECTED not in session:
        return None
    expected = Expected(*session[EXPECTED])
    if time.time() - expected.at > EXPECTED_SECONDS:
        return None
    user = User.objects.filter(pk=expected.user, is_active=True).first()
    return user if user and constant_time_compare(user.get_session_auth_hash(), expected.auth_hash) else None


def accept(session: SessionBase) -> Expected:
    """After the right code."""
    session[VERIFIED] = True
    return Expected(*session.pop(EXPECTED))


# --- Setting up -------------------------------------------------------------------------------------------------------


def begin(user: User) -> None:
    """Make a key, unless one waits for its first code already. Raises AlreadySetUp."""
    try:
        with transaction.atomic():
            device, _ = TotpDevice.objects.get_or_create(user=user, defaults={"name": "app", "confirmed": False})
    except IntegrityError:
        return  # Another request has made it in the meantime.
    if device.confirmed:
        raise AlreadySetUp(Problem(Code.SECOND_FACTOR_EXISTS))
    if not is_readable(device.key):
        TotpDevice.objects.filter(pk=device.pk, confirmed=False).update(key=new_key())


def enrolment(user: User) -> Enrolment | None:
    """The key that waits for its first code. A confirmed one is never shown."""
    device = TotpDevice.objects.filter(user=user, confirmed=False).first()
    if device is None or not is_readable(device.key):
        return None
    secret = b32encode(device.secret).decode()
    query = {"secret": secret, "issuer": ISSUER, "digits": DIGITS, "period": STEP_SECONDS}
    label = f"{ISSUER}:{user.get_username()}"
    return Enrolment(f"otpauth://totp/{quote(label)}?{urlencode(query)}", secret)


def confirm(user: User, code: str, *, keep_session: str | None) -> list[str]:
    """Start to need codes at each sign-in. Returns the recovery codes, which nothing can show again.

    Other sessions end, as they have shown no second factor. Raises CodeRefused, AlreadySetUp.
    """
    with _device_of(user, confirmed=False) as device:
        if device is None:
            raise AlreadySetUp(Problem(Code.SECOND_FACTOR_EXISTS))
        accepted = _is_new_code(device, code)
        if accepted:
            codes = _new_recovery_codes(user)
            audit.record(user, "second-factor.set-up")
            sign_out_everywhere(user, user, except_key=keep_session)
    if not accepted:
        raise CodeRefused(Problem(Code.CODE_WRONG))
    return codes


def renew_recovery_codes(user: User, code: str) -> list[str]:
    """New recovery codes; the old ones are worthless. Raises CodeRefused."""
    verify(user, code)
    with transaction.atomic():
        codes = _new_recovery_codes(user)
        audit.record(user, "second-factor.recovery-codes-renewed")
    return codes


def remove(user: User, code: str) -> None:
    """By the user, with a last code. Raises CodeRefused, and AccessDenied where a role needs it."""
    if is_required(user):
        raise CodeRefused(Problem(Code.SECOND_FACTOR_REQUIRED))
    verify(user, code)
    with transaction.atomic():
        _delete(user)
        audit.record(user, "second-factor.removed", detail={"user": user.get_username()})


def reset(user: User, actor: User | None) -> bool:
    """By an administrator: the user signs in with the password only, and sets up another one. Whether there was one."""
    with transaction.atomic():
        found = _delete(user)
        audit.record(actor, "second-factor.reset", detail={"user": user.get_username()})
        sign_out_everywhere(user, actor)
    return found


# --- Checking ---------------------------------------------------------------------------------------------------------


def verify(user: User, code: str) -> None:
    """Accept a code of the app, or a recovery code, once. Raises CodeRefused."""
    with _device_of(user, confirmed=True) as device:
        accepted = device is not None and (_is_new_code(device, code) or _is_recovery_code(device, code))
    if not accepted:
        raise CodeRefused(Problem(Code.CODE_WRONG))


@contextmanager
def _device_of(user: User, *, confirmed: bool) -> Iterator[TotpDevice | None]:
    """A transaction that holds the row of the device. Raises CodeRefused while it has to wait after failures."""
    with transaction.atomic():
        device: TotpDevice | None
        device = TotpDevice.objects.select_for_update().filter(user=user, confirmed=confirmed).first()
        if device is not None:
            _check_pause(device)
        yield device


def _check_pause(device: TotpDevice) -> None:
    allowed, more = device.verify_is_allowed()
    if not allowed:
        seconds = max(1, math.ceil((more["locked_until"] - timezone.now()).total_seconds()))
        raise CodeRefused(Problem(Code.CODE_TOO_SOON, wait_seconds=seconds), seconds)


def _is_new_code(device: TotpDevice, code: str) -> bool:
    digits = "".join(code.split())
    if len(digits) != DIGITS or not digits.isascii() or not digits.isdigit():
        return False
    try:
        return device.verify_token(digits)
    except SecretUnreadable:
        log.error("CREDENTIALS_KEYS cannot decrypt the second factor of user %s: recovery codes work", device.user_id)
        return False


def _is_recovery_code(device: TotpDevice, code: str) -> bool:
    """Whether it is one that is left; it is not any more then. The row of the device is locked."""
    normal = "".join(letter for letter in code.lower() if letter in LETTERS)
    if len(normal) != GROUPS * GROUP:
        return False
    if not RecoveryCode.objects.filter(user_id=device.user_id, digest=digest_of(normal)).delete()[0]:
        device.throttle_increment()
        return False
    device.throttle_reset()
    left = RecoveryCode.objects.filter(user_id=device.user_id).count()
    audit.record(device.user, "second-factor.recovery-code-used", detail={"left": left})
    return True


def _new_recovery_codes(user: User) -> list[str]:
    RecoveryCode.objects.filter(user=user).delete()
    codes = ["".join(secrets.choice(LETTERS) for _ in range(GROUPS * GROUP)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=digest_of(code)) for code in codes)
    return ["-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP)) for code in codes]


def _delete(user: User) -> bool:
    RecoveryCode.objects.filter(user=user).delete()
    return bool(TotpDevice.objects.filter(user=user).delete()[0])
