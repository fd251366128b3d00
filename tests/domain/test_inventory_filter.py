"""The filter of the inventory as JSON, as saved views and sweeps keep it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from uploads.domain.inventory_filter import InventoryFilter

FULL = InventoryFilter(
    store="s",
    bucket="b",
    prefix="a/é\n",
    initiator="arn:x",
    without=("initiator", "folder"),
    storage_class="STANDARD_IA",
    verdicts=("dead", "empty"),
    older_than=timedelta(days=7),
    younger_than=timedelta(days=30),
    idle_for=timedelta(hours=12),
    min_bytes=0,
    max_bytes=2**40,
    min_parts=1,
    max_parts=10_000,
    q="x",
    ids=(3, 1),
)


@pytest.mark.parametrize("wanted", [FULL, InventoryFilter(), InventoryFilter(min_bytes=0)])
def test_json_round_trip(wanted: InventoryFilter) -> None:
    assert InventoryFilter.from_json(wanted.to_json()) == wanted


@pytest.mark.parametrize(
    "data",
    [
        {"verdicts": ["gone"]},
        {"verdicts": "dead"},
        {"without": ["parts"]},
        {"older_than": -1},
        {"min_bytes": "1"},
        {"x": "1"},
        {"q": 1},
        {"ids": [True]},
    ],
)
def test_other_json_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(data))):
        InventoryFilter.from_json(data)
