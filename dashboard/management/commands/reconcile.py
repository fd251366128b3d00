"""`manage.py reconcile`: compare database, staging and stores, and mend or report what does not agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from uploads.services.upkeep.reconcile import reconcile


class Command(BaseCommand):
    help = (
        "Compare what the database says of transfers with this node's staging and with the stores. What can be put "
        "right is; the rest is named. Safe while everything runs. Exit code 1 where something is left to look at."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        left = found = 0
        for finding, outcome in reconcile(dry_run=dry_run):
            found += 1
            left += outcome != "mended"
            self.stdout.write(f"{finding.text}: {outcome}")
        self.stdout.write(f"{found} found, {found - left} mended." if found else "Everything agrees.")
        if left:
            raise SystemExit(1)
