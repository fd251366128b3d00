"""The audit log in the database: entries are only added, and removed only by the retention, which says so itself."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from pytest_django import Settings

from uploads import audit
from uploads.database import append_only
from uploads.models import AuditEntry, AuditRemoval
from uploads.services.upkeep import audit_retention
from uploads.services.upkeep.audit_retention import remove_entries
from uploads.services.upkeep.retention import KINDS_OF_ROWS, delete_old_rows

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def write(days: int, action: str = "test.done", **values: Any) -> AuditEntry:
    """Add an entry that is so many days old."""
    thing = action.partition(".")[0]
    entry = AuditEntry(actor_name="olga", action=action, thing=thing, **values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: NOW - timedelta(days=days))
        entry.save()
    return entry


def refuses(statement: str) -> bool:
    # PostgreSQL truncates no table that has pending checks of this transaction.
    connection.check_constraints()
    message = ""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        message = str(error)
    return append_only.REFUSAL in message


CHANGES = [
    "UPDATE uploads_auditentry SET actor_name = 'eve'",
    "UPDATE uploads_auditentry SET detail = detail",
    "DELETE FROM uploads_auditentry",
    "DELETE FROM uploads_auditentry WHERE at < '2000-01-01'",
    "TRUNCATE uploads_auditentry" if connection.vendor == "postgresql" else "DELETE FROM uploads_auditentry WHERE 1",
]
UPSERT = {
    "sqlite": "INSERT OR REPLACE INTO uploads_auditentry SELECT * FROM uploads_auditentry",
    "postgresql": "INSERT INTO uploads_auditentry SELECT * FROM uploads_auditentry "
    "ON CONFLICT (id) DO UPDATE SET actor_name = 'eve'",
}


@pytest.mark.parametrize("statement", [*CHANGES, UPSERT[connection.vendor]])
def test_database_refuses_every_change(statement: str) -> None:
    entry = write(1000)
    removes_nothing = "2000-01-01" in statement
    assert refuses(statement) is not removes_nothing
    assert AuditEntry.objects.get().actor_name == entry.actor_name


@pytest.mark.django_db(transaction=True)
def test_triggers_survive_what_tests_and_migrations_do() -> None:
    """A flush and a rebuilt table of SQLite have no triggers; each `migrate` creates them."""
    append_only.drop_triggers("default")
    call_command("migrate", verbosity=0)
    write(1)
    assert refuses("DELETE FROM uploads_auditentry")


def test_removal_of_one_transaction_allows_nothing_in_others() -> None:
    write(10)
    until = timezone.now() - timedelta(days=5)
    assert remove_entries(until) == 1
    assert not AuditRemoval.objects.exists()
    write(10)
    assert refuses("DELETE FROM uploads_auditentry")


def test_removal_does_not_reach_newer_entries() -> None:
    write(10)
    write(1)
    AuditRemoval.objects.create(until=timezone.now() - timedelta(days=5))
    assert refuses("DELETE FROM uploads_auditentry")


def test_removal_leaves_an_entry_and_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_retention, "BATCH", 3)
    for days in (30, 20, 20, 11, 9, 0):
        write(days)
    until = NOW - timedelta(days=10)
    assert [remove_entries(until), remove_entries(until), remove_entries(until)] == [3, 1, 0]
    left = AuditEntry.objects.order_by("pk")
    assert [(row.action, row.detail.get("entries")) for row in left] == [
        ("test.done", None),
        ("test.done", None),
        ("audit.removed", 3),
        ("audit.removed", 1),
    ]
    assert left[2].detail["until"] == until.isoformat()


def test_request_is_kept_with_its_newer_outcome() -> None:
    ordered = write(30, "abort.ordered")
    outcome = write(5, "abort.done", ordered_id=ordered.pk)
    assert remove_entries(NOW - timedelta(days=10)) == 0
    assert remove_entries(NOW - timedelta(days=4)) == 2
    assert not AuditEntry.objects.filter(pk__in=[ordered.pk, outcome.pk]).exists()


def test_round_keeps_everything_by_default_and_removes_once_a_day(settings: Settings) -> None:
    write(4000)
    assert delete_old_rows()["audit entries"] == 0
    settings.KEEP_AUDIT_DAYS = 10
    for days in (30, 12, 3):
        write(days)
    removing = next(old for old in KINDS_OF_ROWS if old.name == "audit entries")
    before = removing.before()
    assert before is not None
    assert (before.hour, before.minute) == (0, 0)
    assert removing.delete(before) == 3
    assert AuditEntry.objects.get(action="audit.removed").means == "schedule"


def test_command_removes_and_reports() -> None:
    write(30)
    write(1)
    output = StringIO()
    with audit.origin(means="command"):
        call_command("remove_audit_entries", days=10, stdout=output)
    assert output.getvalue().startswith("Removed 1 entry from before ")
    assert AuditEntry.objects.get(action="audit.removed").means == "command"


def test_command_does_not_guess_how_many_days_to_keep() -> None:
    with pytest.raises(CommandError, match="KEEP_AUDIT_DAYS"):
        call_command("remove_audit_entries")


def test_user_with_entries_cannot_be_deleted() -> None:
    """The database would have to change their entries."""
    olga = User.objects.create_user("olga")
    audit.record(olga, "test.done")
    with pytest.raises(ProtectedError):
        olga.delete()
