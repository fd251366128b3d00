"""The rows of the inventory's page. Everything is formatted here: template filters on many rows take long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dashboard.inventory.address import Address
from dashboard.inventory.words import MEANINGS, reason_text
from dashboard.shared.formatting import age_html, bytes_html, key_html, key_mark_text, money_text, short_id, time_text
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages.verdicts import VERDICTS
from dashboard.shared.numbers import count_text
from uploads.domain.verdicts import Judgement
from uploads.models import InventoryUpload
from uploads.objectstore.types import UploadRef
from uploads.selectors.prices import Prices
from uploads.services.inventory.reasons import judgements_for_page

LONG_KEY = 80
"""Characters of a key from which on the details of its row repeat it: the row may have cut it off."""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload. `name` is the key with its marks, `reason` says why the upload has its verdict.

    Empty texts stand for what is not known.
    """

    id: int
    store: str
    bucket: str
    name: SafeString
    key_mark: str
    has_long_key: bool
    url: str
    listing_url: str
    upload_id: str
    short_id: str
    verdict: str
    base: str
    reason: str
    size: SafeString
    cost: str
    parts: str
    is_empty: bool
    age: SafeString
    idle: SafeString
    initiator: str
    initiator_url: str
    storage_class: str
    checked: SafeString


def rows_of(uploads: Sequence[InventoryUpload], prices: Prices, address: Address) -> Iterator[UploadRow]:
    """The rows of uploads with their stores and buckets. Two statements more, for the reasons."""
    found = judgements_for_page(uploads, timezone.now())
    for upload in uploads:
        yield _row(upload, prices, address, found[upload.pk])


def _row(upload: InventoryUpload, prices: Prices, address: Address, judgement: Judgement) -> UploadRow:
    links = BucketLinks(upload.store.name, upload.bucket.name)
    money = None if not upload.bytes else prices.cost(upload.store_id, upload.storage_class, upload.bytes)
    nothing = SafeString("–")
    return UploadRow(
        id=upload.pk,
        store=upload.store.name,
        bucket=upload.bucket.name,
        name=key_html(upload.key),
        key_mark=key_mark_text(upload.key),
        has_long_key=len(upload.key) > LONG_KEY,
        url=links.detail(UploadRef(upload.key, upload.upload_id)),
        listing_url=links.uploads,
        upload_id=upload.upload_id,
        short_id=short_id(upload.upload_id),
        verdict=upload.verdict,
        base=str(VERDICTS[judgement.base]) if judgement.base and judgement.verdict == upload.verdict else "",
        reason=_reason(upload, judgement) + _abort_by_rule(upload),
        size=nothing if upload.bytes is None else bytes_html(upload.bytes),
        cost="" if money is None else money_text(money),
        parts="" if upload.parts is None else count_text(upload.parts),
        is_empty=upload.parts == 0,
        age=age_html(upload.started_at),
        idle=age_html(upload.last_part_at) if upload.last_part_at else nothing,
        initiator=upload.initiator,
        initiator_url=address.where([("initiator", upload.initiator)]).url if upload.initiator else "",
        storage_class=upload.storage_class,
        checked=age_html(upload.checked_at) if upload.checked_at else SafeString(""),
    )


def _reason(upload: InventoryUpload, judgement: Judgement) -> str:
    """That of the verdict which the row shows. Time may have changed the verdict since it was stored."""
    if judgement.verdict == upload.verdict:
        return reason_text(judgement)
    return str(MEANINGS.get(upload.verdict, ""))


def _abort_by_rule(upload: InventoryUpload) -> str:
    """What ListParts said about a lifecycle rule (x-amz-abort-date); '' where the store does not."""
    if upload.abort_at is None:
        return ""
    return " " + _("A lifecycle rule aborts it: %(at)s.") % {"at": time_text(upload.abort_at)}
