"""Why uploads of a page have their verdicts: judged again for the page, and never saved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from uploads.domain.states import FINAL_PHASES, StoreUploadState
from uploads.domain.verdicts import Judgement, Thresholds, judge
from uploads.models import InventorySettings, InventoryUpload, StoreUpload
from uploads.services.browse.browsing import provider_of
from uploads.services.inventory.judging import facts_of


def judgements_for_page(rows: Sequence[InventoryUpload], now: datetime) -> dict[int, Judgement]:
    """The judgement of each row, by its id: two statements, however many stores there are.

    The rows have their stores and buckets loaded. A judgement may differ from the stored verdict, which is written
    later.
    """
    stores = {row.store_id for row in rows}
    settings = InventorySettings.objects.in_bulk(stores)
    owned = _owned(rows)
    return {
        row.pk: judge(
            facts_of(row, min_part_size=provider_of(row.store).min_part_size, is_owned=row.pk in owned),
            _thresholds(settings.get(row.store_id)),
            now,
        )
        for row in rows
    }


def _thresholds(settings: InventorySettings | None) -> Thresholds:
    if settings is None:
        return Thresholds()
    return Thresholds(timedelta(hours=settings.alive_hours), timedelta(days=settings.dead_days))


def _owned(rows: Sequence[InventoryUpload]) -> set[int]:
    """The ids of those that an unfinished transfer owns."""
    open_uploads = StoreUpload.objects.filter(
        upload_id__in=[row.upload_id for row in rows], state=StoreUploadState.OPEN
    ).exclude(transfer__phase__in=FINAL_PHASES)
    names = set(
        open_uploads.values_list("transfer__store_id", "transfer__bucket", "transfer__key", "upload_id").order_by()
    )
    return {row.pk for row in rows if (row.store_id, row.bucket.name, row.key, row.upload_id) in names}
