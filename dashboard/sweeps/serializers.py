"""A sweep as JSON: the same facts as its page. Also one upload of its plan."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from dashboard.shared import jsonapi
from dashboard.shared.messages import error_json
from uploads.access import AnyUser
from uploads.models import Sweep, SweepItem
from uploads.selectors.sweeps import progress_of, sample_of


def sweep_json(sweep: Sweep) -> dict[str, Any]:
    progress = progress_of(sweep)
    return {
        "id": str(sweep.pk),
        "url": reverse("sweep", args=[sweep.pk]),
        "state": sweep.state,
        "rule": sweep.rule,
        "author": sweep.author.get_username(),
        "created": jsonapi.iso(sweep.created_at),
        "planned": jsonapi.iso(sweep.planned_at),
        "digest": sweep.digest,
        "plan": {
            "uploads": sweep.uploads,
            "bytes": sweep.bytes,
            "bytes_known_of": sweep.known,
            "spared": sweep.spared,
        },
        "approver": sweep.approver.get_username() if sweep.approver else None,
        "approved": jsonapi.iso(sweep.approved_at),
        "started_by": sweep.started_by.get_username() if sweep.started_by else None,
        "started": jsonapi.iso(sweep.started_at),
        "items": {
            "count": progress.total,
            "done": progress.done,
            "spared": progress.spared,
            "failed": progress.failed,
            "unknown": progress.unknown,
            "left": progress.left,
        },
        "freed_bytes": sweep.freed_bytes,
        "finished": jsonapi.iso(sweep.finished_at),
        "error": error_json(sweep.error),
    }


def detail_json(user: AnyUser, sweep: Sweep) -> dict[str, Any]:
    """With a sample of the uploads. The export has all of them."""
    return sweep_json(sweep) | {"sample": [item_json(item) for item in sample_of(user, sweep)]}


def item_json(item: SweepItem) -> dict[str, Any]:
    return {
        "Store": item.store.name,
        "Bucket": item.bucket,
        "Key": item.key,
        "UploadId": item.upload_id,
        "StorageClass": item.storage_class,
        "Verdict": item.verdict,
        "Parts": item.parts,
        "Bytes": item.bytes,
        "LastPart": jsonapi.iso(item.last_part_at),
        "state": item.state,
        "proof": item.proof,
        "error": error_json(item.error),
        "finished": jsonapi.iso(item.finished_at),
    }
