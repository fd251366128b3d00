"""Judging rows of the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from uploads.models import InventoryUpload, Store


def judge_rows(store: Store, rows: Sequence[InventoryUpload], now: datetime) -> None:
    """Set the verdict of each row. Does not save it."""
