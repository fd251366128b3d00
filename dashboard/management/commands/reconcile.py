"""`manage.py reconcile`: compare database, staging and stores, and repair or report what does not agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.shared.messages import store_error_text, text_of
from uploads.objectstore.errors import ObjectStoreError
from uploads.services.staging.nodes import NodeConflict
from uploads.services.upkeep.reconcile import Finding, Outcome, reconcile

OUTCOMES: dict[Outcome, Promise] = {
    Outcome.REPAIRED: gettext_lazy("Repaired."),
    Outcome.WOULD_BE_REPAIRED: gettext_lazy("Would be repaired."),
    Outcome.NOT_REPAIRED: gettext_lazy("Not repaired."),
    Outcome.FOR_OPERATOR: gettext_lazy("An operator has to check this."),
}


class Command(BaseCommand):
    help = (
        "Compare the transfers in the database with the staging of this node and with the stores. Repair what can be "
        "repaired, and report the rest. Safe while everything runs. The exit code is 1 if anything was not repaired."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="report only, and change nothing")

    def handle(self, *, dry_run: bool, **_options: Any) -> None:
        outcomes = []
        try:
            for finding, outcome in reconcile(dry_run=dry_run):
                outcomes.append(outcome)
                self.stdout.write(_line(finding, outcome))
        except NodeConflict as conflict:
            raise CommandError(text_of(conflict.problem)) from None
        repaired = outcomes.count(Outcome.REPAIRED)
        self.stdout.write(_summary(len(outcomes), repaired))
        if repaired < len(outcomes):
            raise SystemExit(1)


def _line(finding: Finding, outcome: Outcome) -> str:
    return " ".join(filter(None, [text_of(finding.problem), _error_text(finding.error), str(OUTCOMES[outcome])]))


def _error_text(error: Exception | None) -> str:
    if isinstance(error, ObjectStoreError):
        return store_error_text(error)
    return str(error) if error else ""


def _summary(found: int, repaired: int) -> str:
    if not found:
        return _("Everything agrees.")
    text = ngettext("%(found)s finding, %(repaired)s repaired.", "%(found)s findings, %(repaired)s repaired.", found)
    return text % {"found": found, "repaired": repaired}
