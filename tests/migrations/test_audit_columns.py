"""Entries of the audit log from before they had their columns keep what they say, on both databases."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from tests.migrations.conftest import Migrate

AFTER = "0028_audit_columns"
BEFORE = "0027_sessions"


def test_old_entries_get_their_columns_and_lines(migrate: Migrate) -> None:
    old = migrate(BEFORE).get_model("uploads", "AuditEntry")
    at = timezone.now()
    of = {"actor_name": "olga", "store": "s", "bucket": "b", "key": "k", "upload_id": "u-1"}
    operation = "0" * 31 + "1"

    def write(action: str, **values: Any) -> int:
        row = old(action=action, **{**of, **values})
        row.at = at
        row.save()
        return int(row.pk)

    ordered = write("abort.ordered", operation_id=operation)
    other = write("abort.ordered", operation_id=operation, upload_id="u-2")
    failed = write("abort.failed", operation_id=operation, detail={"error_code": "E", "error_request_id": "r-1"})
    done = write("complete.done", detail={"outcome": {"request_id": "r-2"}})
    changed = write("store.changed", key="", upload_id="", detail={"fields": ["region"]})
    entries = migrate(AFTER).get_model("uploads", "AuditEntry").objects
    assert list(entries.order_by("pk").values_list("pk", "thing", "outcome", "ordered_id", "request_id", "means")) == [
        (ordered, "abort", "ordered", None, "", ""),
        (other, "abort", "ordered", None, "", ""),
        (failed, "abort", "failed", ordered, "r-1", ""),
        (done, "complete", "done", None, "r-2", ""),
        (changed, "store", "done", None, "", ""),
    ]
    assert entries.get(pk=changed).detail == {"fields": ["region"]}
