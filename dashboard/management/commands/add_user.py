"""`manage.py add_user`: add a user with a password, from a script or a terminal."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from dashboard.management.passwords import read_password
from uploads.domain.roles import Role
from uploads.services.sign_in.new_user import add_user


class Command(BaseCommand):
    help = (
        "Add a user with a password, which is read from USER_PASSWORD or a prompt: others can see the command line. "
        "The rules for passwords apply."
    )

    variable = "USER_PASSWORD"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        roles = [role.value for role in Role]
        parser.add_argument("--role", choices=roles, help="a role for all stores; without it the user sees nothing")
        parser.add_argument("--email", default="")

    def handle(self, *_args: Any, **options: Any) -> None:
        role = Role(options["role"]) if options["role"] else None
        try:
            add_user(
                None,
                options["name"],
                read_password(self.variable, may_ask=options.get("interactive", True)),
                role=role,
                email=options["email"],
            )
        except ValidationError as error:
            raise CommandError("\n".join(error.messages)) from error
        self.stdout.write(_("Added the user %(name)s.") % options)
