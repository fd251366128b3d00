"""`manage.py changepassword`: in place of Django's, which leaves no audit entry and keeps rows of sessions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from dashboard.management.passwords import read_password
from uploads.services.sign_in.passwords import change_password


class Command(BaseCommand):
    help = (
        "Set the password of a user, which is read from USER_PASSWORD or a prompt, and end all sessions of the user. "
        "The rules for passwords apply."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(_("There is no user “%(username)s”.") % options)
        try:
            change_password(user, read_password("USER_PASSWORD"), None)
        except ValidationError as error:
            raise CommandError("\n".join(error.messages)) from error
        self.stdout.write(_("Changed the password of %(username)s.") % options)
