"""The inventory as JSON and as CSV. The names are part of the interface and do not change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.inventory.query import duration_text, filter_query
from dashboard.inventory.words import reason_text
from dashboard.shared.formatting import percent, percent_text
from dashboard.shared.jsonapi import iso
from uploads.domain.verdicts import Judgement
from uploads.models import InventoryUpload
from uploads.selectors.inventory import Group, Groups, InventoryPage, Totals
from uploads.services.inventory.reasons import judgements_for_page

BATCH = 500
"""Uploads whose reasons are looked up at a time."""


def inventory_json(page: InventoryPage, totals: Totals, found: Groups | None, uncounted: int) -> dict[str, Any]:
    return {
        "uploads": list(uploads_json(page.uploads)),
        "groups": [group_json(each) for each in found.groups] if found else [],
        "groups_truncated": bool(found and found.has_more),
        "groups_rest": totals_json(found.following) | {"groups": found.further} if found and found.has_more else None,
        "groups_next": found.next if found else None,
        "next": page.next,
        "previous": page.previous,
        "ended_early": page.ended_early,
        "totals": totals_json(totals) | {"empty": totals.empty, "uncounted_buckets": uncounted},
    }


def uploads_json(rows: Iterable[InventoryUpload]) -> Iterator[dict[str, Any]]:
    """The uploads with the reasons of their verdicts, which two statements find for many of them at a time."""
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        found = judgements_for_page(batch, timezone.now())
        for row in batch:
            # The verdict by which the row was found. Time may have changed it, which is written soon.
            judgement = found[row.pk]
            yield upload_json(row, judgement if judgement.verdict == row.verdict else None)


def upload_json(row: InventoryUpload, judgement: Judgement | None) -> dict[str, Any]:
    """What ListParts has not said yet is null, and so is the reason of a verdict that time has changed."""
    reason = judgement.reason if judgement else None
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
        "Base": judgement.base.value if judgement and judgement.base else None,
        "Reason": reason_text(judgement) if judgement else None,
        "ReasonCode": str(reason.code) if reason else None,
        "ReasonParams": dict(reason.params) if reason else None,
        "CheckedAt": iso(row.checked_at),
        "CheckError": row.check_error or None,
        "Id": row.pk,
    }


def totals_json(totals: Totals) -> dict[str, Any]:
    return {
        "uploads": totals.uploads,
        "bytes": totals.bytes,
        "bytes_known_of": totals.known,
        "coverage": coverage_text(totals),
        "at_least": totals.is_least,
    }


def coverage_text(totals: Totals) -> str:
    """How complete the bytes are, in words."""
    if totals.known == totals.uploads:
        return _("bytes known of all uploads")
    share = percent_text(percent(totals.known, totals.uploads))
    return _("bytes known of %(share)s of the uploads") % {"share": share}


def group_json(group: Group) -> dict[str, Any]:
    return {
        "value": group.value,
        "store": group.store,
        "bucket": group.bucket,
        "older_than": duration_text(group.older_than),
        "younger_than": duration_text(group.younger_than),
        "query": filter_query(group.inside),
        **totals_json(group.totals),
    }


COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    name: lambda upload, name=name: _text(upload[name])  # type: ignore[misc]
    for name in (
        *("Store", "Bucket", "Key", "UploadId", "Initiated", "Initiator", "StorageClass"),
        *(
            "Parts",
            "Bytes",
            "LastPart",
            "Verdict",
            "Base",
            "Reason",
            "ReasonCode",
            "ReasonParams",
            "CheckedAt",
            "CheckError",
        ),
        "Id",
    )
}
"""The columns of the CSV have the names of the JSON. What is null there is empty."""


def _text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)
