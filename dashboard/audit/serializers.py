"""Lines of the audit log as JSON. The names are part of the interface and do not change."""

from __future__ import annotations

from typing import Any

from dashboard.shared.jsonapi import iso
from uploads.models import AuditEntry
from uploads.selectors.audit import AuditLine, AuditPage


def page_json(page: AuditPage) -> dict[str, Any]:
    return {
        "entries": [line_json(line) for line in page.lines],
        "older": page.older,
        "newer": page.newer,
        "searched_until": iso(page.searched_until),
    }


def line_json(line: AuditLine) -> dict[str, Any]:
    """An entry, and the entries with its outcome."""
    entry = line.entry
    return {
        **_facts(entry),
        "address": entry.address,
        "means": entry.means,
        "token": entry.token,
        "store": entry.store,
        "bucket": entry.bucket,
        "key": entry.key,
        "upload_id": entry.upload_id or next((each.upload_id for each in line.outcomes if each.upload_id), ""),
        "transfer": str(entry.transfer_id) if entry.transfer_id else None,
        "operation": str(entry.operation_id) if entry.operation_id else None,
        "outcomes": [_facts(each) for each in line.outcomes],
    }


def _facts(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "at": iso(entry.at),
        "actor": entry.actor_name,
        "action": entry.action,
        "outcome": entry.outcome,
        "request_id": entry.request_id,
        "before": entry.before,
        "after": entry.after,
        "detail": entry.detail,
    }
