"""`manage.py revoke_tokens`: revoke the access tokens of a user, or of all users."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.shared.messages import text_of
from uploads.problems import ProblemError
from uploads.services.people.tokens import revoke_tokens


class Command(BaseCommand):
    help = (
        "Revoke the access tokens of a user, or of all users. Programs that use them get 401 with their next request."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", help="the name of the user")
        whose.add_argument("--all", action="store_true", help="the tokens of all users")

    def handle(self, *, user: str | None, **_options: Any) -> None:
        try:
            count = revoke_tokens(None, user)
        except ProblemError as error:
            raise CommandError(text_of(error.problem)) from error
        text = ngettext("%(count)s token revoked.", "%(count)s tokens revoked.", count)
        self.stdout.write(text % {"count": count} if count else _("There is no token to revoke."))
