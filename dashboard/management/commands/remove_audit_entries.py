"""`manage.py remove_audit_entries`: remove old entries of the audit log, which leaves an entry that says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboard.shared.formatting import time_text
from dashboard.shared.numbers import Count
from uploads.services.upkeep.audit_retention import remove_entries


class Command(BaseCommand):
    help = (
        "Remove the entries of the audit log that are older than so many days. Nothing else removes entries: the "
        "database refuses it. Each batch leaves an entry with the number of removed entries."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, help="keep the entries of so many days; the default is KEEP_AUDIT_DAYS")

    def handle(self, *__: Any, days: int | None, **___: Any) -> None:
        days = settings.KEEP_AUDIT_DAYS if days is None else days
        if days < 1:
            raise CommandError(_("Set KEEP_AUDIT_DAYS, or say with --days how many days to keep: at least 1."))
        until = timezone.now() - timedelta(days=days)
        removed = 0
        while batch := remove_entries(until):
            removed += batch
        text = ngettext(
            "Removed %(count)s entry from before %(until)s.",
            "Removed %(count)s entries from before %(until)s.",
            removed,
        )
        self.stdout.write(text % {"count": Count(removed), "until": time_text(until)})
