"""Transfers, and errors of their forms, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse

from dashboard.shared.jsonapi import iso
from dashboard.shared.messages import error_json, text_of
from dashboard.transfers.rows import TransferRow, allowed_steps
from uploads.domain.states import Phase
from uploads.models import Transfer
from uploads.problems import Problem


def transfer_json(row: TransferRow) -> dict[str, Any]:
    """A transfer. The names and the shape are part of the interface and do not change."""
    transfer, progress = row.transfer, row.progress
    return {
        "id": str(transfer.pk),
        "state": row.state.value,
        "size": transfer.size,
        "bytes_received": progress.bytes_received,
        "bytes_sent": progress.bytes_sent,
        "parts": {
            "count": transfer.part_count,
            "received": progress.parts_received,
            "sent": progress.parts_sent,
        },
        "upload_id": progress.upload_id,
        "error": error_json(row.error),
        "verification": verification_json(transfer),
        "possible_orphans": orphans_json(row),
        "store": transfer.store.name,
        "bucket": transfer.bucket,
        "key": transfer.key,
        "url": reverse("transfer", args=[transfer.pk]),
        "waiting": row.waiting or None,
        "waiting_code": row.waits_for.code if row.waits_for else None,
        "receive_rate": rounded(progress.receive_rate),
        "send_rate": rounded(progress.send_rate),
        "seconds_left": rounded(row.seconds_left),
        "last_received": iso(transfer.received_at),
        "expires": iso(transfer.expires_at) if row.can_expire else None,
        "node": {"name": transfer.node, "silent_since": iso(transfer.node_silent_since)},
        "steps": sorted(allowed_steps(transfer)),
        "checksum": transfer.checksum,
        "crc64": row.crc64,
        "sha256": transfer.sha256 or None,
    }


def rounded(number: float | None) -> int | None:
    return None if number is None else round(number)


def verification_json(transfer: Transfer) -> dict[str, Any] | None:
    """What is known of the object once the store has confirmed it; `reason` says why it is not verified."""
    if transfer.phase not in (Phase.COMPLETING, Phase.DONE):
        return None
    if transfer.phase == Phase.COMPLETING and transfer.completed_at is None:
        return None
    return {
        "verified": transfer.verified,
        "proofs": transfer.proofs,
        "reason": error_json(transfer.error),
    }


def orphans_json(row: TransferRow) -> dict[str, Any] | None:
    """Uploads that the transfer may have left in the store; `without_id` are requests whose uploads were not found."""
    transfer, upload_ids = row.transfer, row.progress.possible_orphans
    if not transfer.lost_creates and not upload_ids:
        return None
    without_id = {
        "count": transfer.lost_creates,
        "first": iso(transfer.lost_create_at),
        "last": iso(transfer.lost_create_until),
        "reason": {
            "code": transfer.lost_create_reason,
            "message": text_of(Problem(transfer.lost_create_reason)),
        },
    }
    return {"upload_ids": list(upload_ids), "without_id": without_id if transfer.lost_creates else None}


def known_json(transfer: Transfer, bytes_received: int) -> dict[str, Any]:
    """A transfer that a selected file resumes."""
    return {
        "key": transfer.key,
        "size": transfer.size,
        "fingerprint": transfer.fingerprint,
        "id": str(transfer.pk),
        "url": reverse("file", args=[transfer.pk]),
        "bytes_received": bytes_received,
        "state": transfer.state.value,
        "wants_sha256": transfer.verify_sha256 and not transfer.expected_sha256,
    }


def message_json(code: str, message: str, request_id: str = "") -> dict[str, str]:
    """An error. Without a request id, no response of a store caused it."""
    return {"code": code, "message": message, "request_id": request_id}


def fields_error_json(code: str, message: str, fields: Mapping[str, str], request_id: str = "") -> dict[str, Any]:
    """An error with a message for each invalid field; an empty name stands for the whole form."""
    return {"error": message_json(code, message, request_id), "fields": dict(fields)}
