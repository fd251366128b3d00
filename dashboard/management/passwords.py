"""Reading a password for a command: from the environment or a prompt, as others can see the command line."""

from __future__ import annotations

import getpass
import os
import sys

from django.core.management.base import CommandError
from django.utils.translation import gettext as _


def read_password(variable: str, *, may_ask: bool = True) -> str:
    """The value of the variable, or what somebody enters twice in a terminal. Raises CommandError."""
    password = os.environ.get(variable, "")
    if not password and may_ask and sys.stdin.isatty():
        password = getpass.getpass(_("Password: "))
        if password != getpass.getpass(_("Password, again: ")):
            raise CommandError(_("The two passwords differ."))
    if not password:
        raise CommandError(
            _("Set %(variable)s to the password, or run this command in a terminal.") % {"variable": variable}
        )
    return password
