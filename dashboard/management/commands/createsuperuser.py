"""`manage.py createsuperuser`: `add_user --role administrator` by the name and with the options of Django's command.

Django's leaves no audit entry, and adds a user whose password breaks the rules.
"""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from dashboard.management.commands.add_user import Command as AddUser
from uploads.domain.roles import Role


class Command(AddUser):
    variable = "DJANGO_SUPERUSER_PASSWORD"
    help = f"Add an administrator. The password is read from {variable} or a prompt."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default=os.environ.get("DJANGO_SUPERUSER_USERNAME", ""))
        parser.add_argument("--email", default=os.environ.get("DJANGO_SUPERUSER_EMAIL", ""))
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="without a prompt"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["username"]:
            raise CommandError(_("Name the user with --username."))
        super().handle(*args, **options | {"name": options["username"], "role": Role.ADMINISTRATOR})
