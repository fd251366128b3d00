"""The inventory as JSON and as CSV. The names are part of the interface and do not change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dashboard.inventory.query import duration_text
from dashboard.shared.jsonapi import iso
from uploads.models import InventoryUpload
from uploads.selectors.inventory import Group, Groups, InventoryPage, Totals


def inventory_json(page: InventoryPage, totals: Totals, found: Groups | None) -> dict[str, Any]:
    return {
        "uploads": [upload_json(row) for row in page.uploads],
        "groups": [group_json(each) for each in found.groups] if found else [],
        "groups_truncated": bool(found and found.has_more),
        "next": page.next,
        "previous": page.previous,
        "ended_early": page.ended_early,
        "totals": totals_json(totals) | {"empty": totals.empty},
    }


def upload_json(row: InventoryUpload) -> dict[str, Any]:
    """What ListParts has not said yet is null."""
    return {
        "Store": row.store.name,
        "Bucket": row.bucket.name,
        "Key": row.key,
        "UploadId": row.upload_id,
        "Initiated": iso(row.initiated),
        "Initiator": row.initiator,
        "StorageClass": row.storage_class,
        "Parts": row.parts,
        "Bytes": row.bytes,
        "LastPart": iso(row.last_part_at),
        "Verdict": row.verdict,
        "CheckedAt": iso(row.checked_at),
        "Id": row.pk,
    }


def totals_json(totals: Totals) -> dict[str, Any]:
    return {
        "uploads": totals.uploads,
        "bytes": totals.bytes,
        "bytes_known_of": totals.known,
        "at_least": totals.is_least,
    }


def group_json(group: Group) -> dict[str, Any]:
    return {
        "value": group.value,
        "store": group.store,
        "bucket": group.bucket,
        "older_than": duration_text(group.older_than),
        "younger_than": duration_text(group.younger_than),
        **totals_json(group.totals),
    }


COLUMNS: Mapping[str, Callable[[InventoryUpload], str]] = {
    name: lambda row, name=name: _text(upload_json(row)[name])  # type: ignore[misc]
    for name in (
        *("Store", "Bucket", "Key", "UploadId", "Initiated", "Initiator", "StorageClass"),
        *("Parts", "Bytes", "LastPart", "Verdict", "CheckedAt", "Id"),
    )
}
"""The columns of the CSV have the names of the JSON. What is null there is empty."""


def _text(value: object) -> str:
    return "" if value is None else str(value)
