"""`manage.py add_user`: add a user with a password, from a script or a terminal."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from uploads.domain.roles import Role
from uploads.services.sign_in.new_user import add_user


class Command(BaseCommand):
    help = (
        "Add a user with a password, which is read from USER_PASSWORD or a prompt: others can see the command line. "
        "The rules for passwords apply."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        roles = [role.value for role in Role]
        parser.add_argument("--role", choices=roles, help="a role for all stores; without it the user sees nothing")
        parser.add_argument("--email", default="")

    def handle(self, *_args: Any, **options: Any) -> None:
        role = Role(options["role"]) if options["role"] else None
        try:
            add_user(None, options["name"], _password(), role=role, email=options["email"])
        except ValidationError as error:
            raise CommandError("\n".join(error.messages)) from error
        self.stdout.write(_("Added the user %(name)s.") % options)


def _password() -> str:
    password = os.environ.get("USER_PASSWORD", "")
    if not password and sys.stdin.isatty():
        password = getpass.getpass(_("Password: "))
        if password != getpass.getpass(_("Password, again: ")):
            raise CommandError(_("The two passwords differ."))
    if not password:
        raise CommandError(_("Set USER_PASSWORD to the password, or run this command in a terminal."))
    return password
