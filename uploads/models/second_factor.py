"""Second factors: an app that shows codes (TOTP), and recovery codes for the day when it is lost."""

from __future__ import annotations

import time
from binascii import unhexlify

from django.conf import settings
from django.db import models
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP
from django_otp.util import random_hex

from uploads.models.fields import EncryptedTextField, opened

STEP_SECONDS = 30
DIGITS = 6
TOLERANCE = 1
"""Steps by which the clocks of the app and of this machine may differ."""


def new_key() -> str:
    return str(random_hex(20))


class TotpDevice(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]  # no types
    """The app of a user. Unlike django-otp's own, its key is encrypted. Not `confirmed`: never used so far."""

    key = EncryptedTextField(default=new_key)
    last_step = models.BigIntegerField(default=-1)
    """That of the last code that was accepted: no code is accepted twice."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user"], name="one_totp_device_per_user")]

    def __str__(self) -> str:
        return f"app of user {self.user_id}"

    @property
    def secret(self) -> bytes:
        """Raises SecretUnreadable."""
        return unhexlify(opened(self.key))

    def get_throttle_factor(self) -> int:
        """A pause of 1, 2, 4, 8... seconds after failures in a row."""
        return 1

    def verify_token(self, token: str) -> bool:
        """Whether the code is right and new. Under a lock of the row, unless `verify_is_allowed` says no."""
        code = TOTP(self.secret, STEP_SECONDS, digits=DIGITS)
        code.time = time.time()
        if not code.verify(int(token), TOLERANCE, self.last_step + 1):
            self.throttle_increment()
            return False
        self.last_step = code.t()
        self.confirmed = True
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()
        return True


class RecoveryCode(models.Model):
    """A code that is accepted once in place of the app. Codes are random, so that a fast digest is enough."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_codes_differ")]

    def __str__(self) -> str:
        return f"recovery code of user {self.user_id}"
