"""`manage.py unlock_sign_in`: lift a lock after failed attempts to sign in."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from uploads.services.sign_in.lockout import lift


class Command(BaseCommand):
    help = "Lift the lock of an account or an address after failed attempts to sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--user", default="", help="the name of an account")
        which.add_argument("--address", default="", help="an IP address")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not lift(None, name=options["user"], address=options["address"]):
            raise CommandError(_("There are no failed attempts to forget."))
        self.stdout.write(_("The failed attempts are forgotten."))
