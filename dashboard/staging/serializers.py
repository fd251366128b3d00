"""The use of staging as JSON."""

from __future__ import annotations

from typing import Any

from uploads.services.staging.usage import OwnerUse, StagingUse


def staging_json(use: StagingUse) -> dict[str, Any]:
    return {
        "node": use.node,
        "held": use.reserved_bytes,
        "quota": use.quota,
        "free_room": max(0, use.free_bytes),
        "operators": [operator_json(each) for each in use.owners],
    }


def operator_json(use: OwnerUse) -> dict[str, Any]:
    return {"operator": use.owner, "held": use.reserved_bytes, "transfers": use.transfers}
