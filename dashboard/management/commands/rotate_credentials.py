"""`manage.py rotate_credentials`: encrypt all stored secrets with the first of CREDENTIALS_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from uploads.services.stores.keys import Rotation, rotate, unused_keys


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets with the first key of CREDENTIALS_KEYS. Put a new key first, restart all "
        "processes, run this command, and remove the old key. It can be repeated, and stopped at any time."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        done = rotate()
        for each in done:
            self.stdout.write(_counts(each))
        for number in unused_keys():
            self.stdout.write(_unused(number))
        unreadable = [name for each in done for name in each.unreadable_rows]
        if unreadable:
            text = _(
                "No key decrypts the secrets of: %(names)s. Add the key that encrypted them, or enter them again. "
                "Everything else is rotated."
            )
            raise CommandError(text % {"names": ", ".join(unreadable)})
        if any(each.changed for each in done):
            raise CommandError(_("Other processes changed secrets in the meantime. Run this command again."))


def _counts(done: Rotation) -> str:
    text = _(
        "%(model)s: %(rotated)s rotated, %(current)s had the first key already, %(changed)s changed in the meantime, "
        "%(unreadable)s cannot be decrypted."
    )
    return text % {
        "model": done.model,
        "rotated": done.rotated,
        "current": done.current,
        "changed": done.changed,
        "unreadable": done.unreadable,
    }


def _unused(number: int) -> str:
    text = _("Key %(number)s of CREDENTIALS_KEYS decrypts no stored secret. It can be removed.")
    return text % {"number": number}
