"""What was found, as rows that link to the pages of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dashboard.shared.formatting import key_html, short_id
from dashboard.shared.links import BucketLinks
from dashboard.shared.messages.audit import action_text
from uploads.domain.states import OperationKind
from uploads.models import AuditEntry, InventoryUpload, Operation, Scan, StoreUpload, Sweep, Transfer
from uploads.objectstore.types import UploadRef
from uploads.selectors.search import BucketRow, Found


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that was found. `about` is an upload id or a user; '' if there is none. `at`: when it began.

    `is_data`: its name is no text of ours.
    """

    url: str
    icon: str
    kind: str
    name: str | SafeString
    is_data: bool = True
    place: str = ""
    about: str = ""
    at: datetime | None = None


def choices_of(found: Found) -> list[Choice]:
    """The most exact kinds first."""
    return list(_choices(found))


def _choices(found: Found) -> Iterator[Choice]:
    for upload in found.uploads:
        yield _upload(upload)
    for sent in found.sent:
        yield _sent(sent)
    for transfer in found.transfers:
        yield _transfer(transfer)
    for operation in found.operations:
        yield _operation(operation)
    for sweep in found.sweeps:
        yield _sweep(sweep)
    for scan in found.scans:
        yield _scan(scan)
    for bucket in found.buckets:
        yield _bucket(bucket)
    for store in found.stores:
        yield Choice(reverse("store", args=[store.name]), "database", _("Store"), store.name)
    for entry in found.entries:
        yield _entry(entry)


def _upload(upload: InventoryUpload) -> Choice:
    links = BucketLinks(upload.store.name, upload.bucket.name)
    return Choice(
        url=links.detail(UploadRef(upload.key, upload.upload_id)),
        icon="puzzle",
        kind=_("Upload"),
        name=key_html(upload.key),
        place=_place(upload.store.name, upload.bucket.name),
        about=short_id(upload.upload_id),
        at=upload.started_at,
    )


def _sent(sent: StoreUpload) -> Choice:
    transfer = sent.transfer
    links = BucketLinks(transfer.store.name, transfer.bucket)
    return Choice(
        url=links.detail(UploadRef(transfer.key, sent.upload_id)),
        icon="puzzle",
        kind=_("Upload"),
        name=key_html(transfer.key),
        place=_place(transfer.store.name, transfer.bucket),
        about=short_id(sent.upload_id),
        at=sent.created_at,
    )


def _transfer(transfer: Transfer) -> Choice:
    return Choice(
        url=reverse("transfer", args=[transfer.pk]),
        icon="arrows-transfer-up",
        kind=_("Transfer"),
        name=key_html(transfer.key),
        place=_place(transfer.store.name, transfer.bucket),
        about=transfer.owner.get_username(),
        at=transfer.created_at,
    )


def _operation(operation: Operation) -> Choice:
    is_abort = operation.kind == OperationKind.ABORT
    return Choice(
        url=reverse("operation", args=[operation.pk]),
        icon="clipboard-check",
        kind=_("Operation"),
        name=_("Abort of uploads") if is_abort else _("Completion of an upload"),
        is_data=False,
        place=_place(operation.store.name, operation.bucket),
        about=operation.actor.get_username(),
        at=operation.created_at,
    )


def _sweep(sweep: Sweep) -> Choice:
    return Choice(
        url=reverse("sweep", args=[sweep.pk]),
        icon="trash",
        kind=_("Sweep"),
        name=_("Sweep"),
        is_data=False,
        about=sweep.author.get_username(),
        at=sweep.created_at,
    )


def _scan(scan: Scan) -> Choice:
    return Choice(
        url=reverse("scan", args=[scan.pk]),
        icon="radar",
        kind=_("Scan"),
        name=_("Scan"),
        is_data=False,
        place=scan.store.name,
        at=scan.created_at,
    )


def _bucket(bucket: BucketRow) -> Choice:
    return Choice(
        url=BucketLinks(bucket.store.name, bucket.name).uploads,
        icon="bucket",
        kind=_("Bucket"),
        name=bucket.name,
        place=bucket.store.name,
    )


def _entry(entry: AuditEntry) -> Choice:
    """The page of what was deleted, which shows its entries; of an upload: its lines of the audit log."""
    if entry.transfer_id:
        url = reverse("transfer", args=[entry.transfer_id])
    elif entry.operation_id:
        url = reverse("operation", args=[entry.operation_id])
    else:
        url = f"{reverse('audit')}?{urlencode({'upload-id': entry.upload_id})}"
    return Choice(
        url=url,
        icon="list-search",
        kind=_("Audit log"),
        name=action_text(entry.action) or entry.action,
        is_data=False,
        place=_place(entry.store, entry.bucket),
        about=entry.actor_name,
        at=entry.at,
    )


def _place(store: str, bucket: str) -> str:
    return f"{store} / {bucket}" if bucket else store
