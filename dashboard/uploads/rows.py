"""The rows of a listing, every value ready for the page: 1,000 of them cost three times as much by template filters."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.shared import formatting
from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import write_upload
from uploads.models import Store
from uploads.objectstore.types import MultipartUpload, UploadRef, UploadsPage, UploadsQuery
from uploads.selectors.operations import Ended, ended_here
from uploads.services.browse import ownership
from uploads.services.browse.unlisted import Unlisted

LANES = 4
"""Rows whose facts are fetched at the same time; the others queue behind them."""


@dataclass(frozen=True, slots=True)
class Row:
    """An upload as the table shows it. `ended`: how it ended here, in place of facts; '' where it is not known to have.

    `suspected`: it is not listed, and a transfer may have begun it.
    """

    value: str
    key: SafeString
    upload_id: str
    short_id: str
    initiated: SafeString
    initiator: str
    storage_class: str
    detail_url: str
    facts_url: str
    lane: int
    transfer_id: uuid.UUID | None
    ended: SafeString | str = ""
    suspected: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """A common prefix: what it adds to the prefix, and the listing inside it."""

    name: SafeString
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """Folders and rows that belong together: those that the store lists, and those that it leaves out."""

    folders: Sequence[Folder]
    rows: Sequence[Row]
    is_listed: bool = True

    @property
    def has_boxes(self) -> bool:
        """Whether any of its uploads can be chosen."""
        return self.is_listed and any(not row.ended for row in self.rows)


def listed_group(store: Store, links: BucketLinks, asked: UploadsQuery, page: UploadsPage, asked_at: datetime) -> Group:
    """What the store's page holds. Of what has ended here since it was asked, it is not to blame."""
    ids = [upload.upload_id for upload in page.uploads]
    owners = ownership.owners(store, links.bucket, ids)
    ended = ended_here(store, links.bucket, ids)
    detail, facts = links.detail_form, links.facts_base
    rows = []
    for index, upload in enumerate(page.uploads):
        name = (upload.key, upload.upload_id)
        owner = owners.get(name)
        words = _ended(ended[name], asked_at) if name in ended else ""
        rows.append(_row(upload, detail, facts, index, transfer_id=owner.pk if owner else None, ended=words))
    return Group(_folders(links, asked, page.common_prefixes), rows)


def unlisted_group(links: BucketLinks, asked: UploadsQuery, unlisted: Unlisted) -> Group:
    """What the store's page leaves out."""
    detail, facts = links.detail_form, links.facts_base
    rows = [
        _row(
            each.upload,
            detail,
            facts,
            index,
            transfer_id=each.transfer_id,
            suspected=each.possible_orphan,
            more_facts="&unlisted=1",
        )
        for index, each in enumerate(unlisted.uploads)
    ]
    return Group(_folders(links, asked, unlisted.prefixes), rows, is_listed=False)


def _row(
    upload: MultipartUpload,
    detail: str,
    facts: str,
    index: int,
    *,
    transfer_id: uuid.UUID | None,
    ended: SafeString | str = "",
    suspected: bool = False,
    more_facts: str = "",
) -> Row:
    value = write_upload(UploadRef(upload.key, upload.upload_id))
    query = "?key={}&upload-id={}".format(*value.split("/"))
    return Row(
        value=value,
        key=formatting.key_html(upload.key),
        upload_id=upload.upload_id,
        short_id=formatting.short_id(upload.upload_id),
        initiated=formatting.row_time_html(upload.initiated),
        initiator=upload.initiator,
        storage_class=upload.storage_class,
        detail_url=detail + query,
        facts_url=facts + query + more_facts,
        lane=index % LANES,
        transfer_id=transfer_id,
        ended=ended,
        suspected=suspected,
    )


def _ended(ended: Ended, asked_at: datetime) -> SafeString:
    """How an upload ended that the store's listing names: in words, with a link to what ended it."""
    word = "completed here" if ended.completed else "aborted here"
    age = formatting.age_html(ended.at) if ended.at else ""
    state = format_html(
        '<span class="state state-idle"><span class="state-dot" aria-hidden="true"></span>{}</span>', word
    )
    since = "just now" if ended.at and ended.at >= asked_at else "the store still lists it"
    if ended.operation_id:
        url = reverse("operation", args=[ended.operation_id])
    else:
        url = reverse("transfer", args=[ended.transfer_id])
    return format_html('<a href="{}">{}</a> {} <span class="text-secondary">{}</span>', url, state, age, since)


def _folders(links: BucketLinks, asked: UploadsQuery, prefixes: Sequence[str]) -> list[Folder]:
    """Names without the prefix that they all share; a prefix that hides nothing is shown whole."""
    return [
        Folder(
            formatting.key_html(common.removeprefix(asked.prefix) or common),
            links.listing(UploadsQuery(common, asked.delimiter, asked.max_uploads)),
        )
        for common in prefixes
    ]
