"""`manage.py invite_user`: add a user, and print the link with which the user sets a password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from dashboard.shared.formatting import time_text
from dashboard.shared.messages import text_of
from uploads.domain.roles import Role
from uploads.problems import ProblemError
from uploads.services.people.grants import GrantValues, add_grant
from uploads.services.people.users import invite_user


class Command(BaseCommand):
    help = "Add a user, and print the link with which the user sets a password. It works once and is not stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--administrator", action="store_true", help="grant the role of an administrator")
        parser.add_argument("--url", default="", help="the address of the site, such as https://partway.example.com")

    def handle(self, *, username: str, email: str, administrator: bool, url: str, **_options: Any) -> None:
        try:
            UnicodeUsernameValidator()(username)
            if email:
                validate_email(email)
            user, invitation, secret = invite_user(None, User.normalize_username(username), email)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except ProblemError as error:
            raise CommandError(text_of(error.problem)) from error
        if administrator:
            add_grant(None, user, GrantValues(role=Role.ADMINISTRATOR))
        link = url.rstrip("/") + reverse("invitation") + "?" + urlencode({"token": secret})
        self.stdout.write(link)
        text = _("It works once, until %(until)s.") % {"until": time_text(invitation.expires_at)}
        self.stderr.write(text)
