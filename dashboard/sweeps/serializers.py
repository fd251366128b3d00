"""A sweep as JSON: the same facts as its page. Also one upload of its plan."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from dashboard.shared import jsonapi
from dashboard.shared.messages import error_json, text_of
from uploads.access import AnyUser
from uploads.domain.states import SweepState
from uploads.models import Sweep, SweepItem
from uploads.selectors.sweeps import freed_cost, plan_cost, prices_for, progress_of, sample_of
from uploads.services.sweeps.repeat import has_other_rule, waits_because


def sweep_json(sweep: Sweep) -> dict[str, Any]:
    progress = progress_of(sweep)
    return {
        "id": str(sweep.pk),
        "url": reverse("sweep", args=[sweep.pk]),
        "state": sweep.state,
        "rule": sweep.rule,
        "repeating": str(sweep.repeating_id) if sweep.repeating_id else None,
        "has_other_rule": has_other_rule(sweep),
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
    """With the cost, and a sample of the uploads. The export has all of them."""
    prices = prices_for(sweep)
    planned, freed, waits = plan_cost(sweep, prices), freed_cost(sweep, prices), waits_because(sweep)
    is_waiting = waits is not None and sweep.state == SweepState.PLANNED
    return sweep_json(sweep) | {
        "costs": jsonapi.costs(planned),
        "bytes_without_price": planned.unpriced_bytes,
        "freed_costs": jsonapi.costs(freed),
        "waits_because": {"code": waits.code, "message": text_of(waits)} if waits is not None and is_waiting else None,
        "sample": [item_json(item) for item in sample_of(user, sweep)],
    }


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
