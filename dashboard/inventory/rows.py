"""Rows of the inventory's table. Values are formatted here: a page can have 1,000 rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import prefetch_related_objects
from django.utils.safestring import SafeString

from dashboard.inventory.words import MEANINGS
from dashboard.shared.formatting import age_html, bytes_html, key_html, key_mark_text, money_text, short_id
from dashboard.shared.links import BucketLinks
from dashboard.shared.numbers import count_text
from uploads.models import InventoryUpload
from uploads.objectstore.types import UploadRef
from uploads.selectors.prices import Prices


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload. `reason` says why it has its verdict, in one sentence."""

    id: int
    store: str
    bucket: str
    key: SafeString
    key_mark: str
    url: str
    listing_url: str
    upload_id: str
    short_id: str
    verdict: str
    reason: str
    size: SafeString
    cost: str
    parts: str
    is_empty: bool
    age: SafeString
    idle: SafeString
    initiator: str
    storage_class: str


def rows_of(uploads: Sequence[InventoryUpload], prices: Prices) -> Iterator[UploadRow]:
    """The rows of uploads, with two more queries for their stores and buckets."""
    prefetch_related_objects(list(uploads), "store", "bucket")
    for upload in uploads:
        yield _row(upload, prices)


def _row(upload: InventoryUpload, prices: Prices) -> UploadRow:
    links = BucketLinks(upload.store.name, upload.bucket.name)
    return UploadRow(
        id=upload.pk,
        store=upload.store.name,
        bucket=upload.bucket.name,
        key=key_html(upload.key),
        key_mark=key_mark_text(upload.key),
        url=links.detail(UploadRef(upload.key, upload.upload_id)),
        listing_url=links.uploads,
        upload_id=upload.upload_id,
        short_id=short_id(upload.upload_id),
        verdict=upload.verdict,
        reason=str(MEANINGS.get(upload.verdict, "")),
        size=bytes_html(upload.bytes),
        cost=""
        if upload.bytes is None
        else money_text(prices.cost(upload.store_id, upload.storage_class, upload.bytes)),
        parts="" if upload.parts is None else count_text(upload.parts),
        is_empty=upload.parts == 0,
        age=age_html(upload.started_at),
        idle=age_html(upload.active_at),
        initiator=upload.initiator,
        storage_class=upload.storage_class,
    )
