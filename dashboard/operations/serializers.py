"""An operation as JSON: the same facts as its page."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from dashboard.operations.outcome import waiting_text
from dashboard.shared import jsonapi
from dashboard.shared.messages import error_json
from uploads.models import Operation, OperationItem
from uploads.selectors.operations import OperationProgress


def operation_json(operation: Operation, progress: OperationProgress) -> dict[str, Any]:
    """An operation with its uploads."""
    uploads = [item_json(item) for item in operation.items.all()]
    return {**operation_summary_json(operation, progress), "Uploads": uploads}


def operation_summary_json(operation: Operation, progress: OperationProgress) -> dict[str, Any]:
    """An operation without its uploads, as lists have it."""
    return {
        "id": str(operation.pk),
        "url": reverse("operation", args=[operation.pk]),
        "kind": operation.kind,
        "desired_state": operation.desired_state,
        "spare_after": jsonapi.iso(operation.spare_after),
        "state": progress.state,
        "waiting": waiting_text(operation, progress) or None,
        "store": operation.store.name,
        "Bucket": operation.bucket,
        "actor": operation.actor.get_username(),
        "created": jsonapi.iso(operation.created_at),
        "items": {
            "count": progress.total,
            "done": progress.done,
            "failed": progress.failed,
            "unknown": progress.unknown,
            "spared": progress.spared,
            "left": progress.left,
            "active": progress.active,
        },
    }


def item_json(item: OperationItem) -> dict[str, Any]:
    return {
        "Key": item.key,
        "UploadId": item.upload_id,
        "state": item.state,
        "outcome": _outcome_json(item),
        "error": error_json(item.error),
        "finished": jsonapi.iso(item.finished_at),
    }


def _outcome_json(item: OperationItem) -> dict[str, Any]:
    """The outcome, with a recorded error as JSON shows errors everywhere."""
    errors = {"not_verified", "no_bucket"} & item.outcome.keys()
    return {**item.outcome, **{name: error_json(item.outcome_error) for name in errors}}
