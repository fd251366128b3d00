"""`manage.py reset_second_factor`: for a user who has lost the app and the recovery codes."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from uploads.services.sign_in.second_factor import reset


class Command(BaseCommand):
    help = (
        "Remove the second factor of a user who has lost the app and the recovery codes, and end all sessions of the "
        "user. Make sure first that it is the user who asks for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name of the user")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(_("There is no user “%(name)s”.") % options)
        if not reset(user, None):
            raise CommandError(_("The user “%(name)s” has no second factor.") % options)
        self.stdout.write(_("The second factor was removed. The user signs in with the password only."))
