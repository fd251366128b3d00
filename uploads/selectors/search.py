"""What the text in the search box means, among what the user may see: ids, names and keys in our own tables.

No store is asked. Each statement uses an index, or looks at a limited number of rows: their number does not depend on
the rows, and nothing that the user may not see changes the result.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.db.models import Q

from uploads import access
from uploads.access import AnyUser
from uploads.domain.inventory_filter import InventoryFilter, Sort
from uploads.domain.search_text import ids_in, named_in
from uploads.domain.states import StoreUploadState
from uploads.models import (
    AuditEntry,
    InventoryBucket,
    InventoryUpload,
    NamedBucket,
    Operation,
    OperationItem,
    Scan,
    Store,
    StoreUpload,
    Sweep,
    Transfer,
)
from uploads.models.inventory import IN_PROGRESS
from uploads.selectors.inventory.page import find_page
from uploads.selectors.inventory.search import contains, words_of

LIMIT = 20
"""The most of one kind that are found."""

MAX_TEXT = 1024
"""Characters from which on a text is no key and no name, but a line that may contain an id."""

SHORTEST_PART = 3
"""Characters of a key, id or name that are searched for."""

CANDIDATES = 1000
"""Rows with the same key of which is asked whether the user may see them."""

NEWEST = 10_000
"""The newest transfers, whose keys are searched for a part."""

BucketRow = InventoryBucket | NamedBucket


@dataclass(frozen=True, slots=True)
class Found:
    """What a text may mean. `has_more`: there is more of some kind.

    `sent`: uploads of transfers that are in progress, by their upload ids. `entries`: what the audit log has about ids
    that nothing else has any more.
    """

    stores: Sequence[Store] = ()
    buckets: Sequence[BucketRow] = ()
    uploads: Sequence[InventoryUpload] = ()
    sent: Sequence[StoreUpload] = ()
    transfers: Sequence[Transfer] = ()
    operations: Sequence[Operation] = ()
    sweeps: Sequence[Sweep] = ()
    scans: Sequence[Scan] = ()
    entries: Sequence[AuditEntry] = ()
    has_more: bool = False

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, each.name) for each in fields(self))


def find(user: AnyUser, text: str) -> Found:
    """What is exactly this text, or what a line names; otherwise what has the text in its key, id or name."""
    visible = access.inventory_condition(user)
    found = _exactly(user, visible, text)
    if found.is_empty and SHORTEST_PART <= len(text) <= MAX_TEXT:
        found = _containing(user, text)
    return found


# --- Exactly ----------------------------------------------------------------------------------------------------------


def _exactly(user: AnyUser, visible: Q, text: str) -> Found:
    ids, words = ids_in(text), words_of(text)
    by_upload_id = _uploads(visible, upload_id__in=words)
    others = sorted(set(words) - {each.upload_id for each in by_upload_id})
    sent = _sent(user, others)
    is_open = [each for each in sent if each.state == StoreUploadState.OPEN]
    ended = [each.transfer_id for each in sent if each.state != StoreUploadState.OPEN]
    found: dict[str, Sequence[Any]] = {
        "uploads": by_upload_id,
        "sent": is_open,
        "transfers": _transfers(user, [*ids, *ended]),
        "operations": _operations(user, ids, others),
        "sweeps": list(access.sweeps_to_see(user).filter(pk__in=ids)) if ids else (),
        "scans": list(access.scans_to_see(user).filter(pk__in=ids)) if ids else (),
    }
    if not any(found.values()):
        found |= _by_name(user, visible, text)
    if not any(found.values()) and (ids or words):
        found["entries"] = _entries(user, ids, words)
    return _limited(found)


def _uploads(visible: Q, **wanted: Any) -> Sequence[InventoryUpload]:
    candidates = InventoryUpload.objects.filter(IN_PROGRESS, **wanted).order_by().values("pk")[:CANDIDATES]
    rows = InventoryUpload.objects.filter(visible, pk__in=candidates).select_related("store", "bucket")
    return list(rows.order_by("-started_at", "pk")[: LIMIT + 1])


def _sent(user: AnyUser, upload_ids: Sequence[str]) -> Sequence[StoreUpload]:
    """The uploads that visible transfers have created."""
    rows = StoreUpload.objects.filter(upload_id__in=upload_ids, transfer__in=access.visible_transfers(user))
    return list(rows.select_related("transfer__store", "transfer__owner").order_by("-id")[: LIMIT + 1])


def _transfers(user: AnyUser, ids: Sequence[uuid.UUID]) -> Sequence[Transfer]:
    return list(access.visible_transfers(user).filter(pk__in=ids)) if ids else ()


def _operations(user: AnyUser, ids: Sequence[uuid.UUID], upload_ids: Sequence[str]) -> Sequence[Operation]:
    """The operations with these ids, or on uploads with these ids."""
    named = OperationItem.objects.filter(upload_id__in=upload_ids).order_by().values("operation")[:CANDIDATES]
    rows = access.visible_operations(user).filter(Q(pk__in=ids) | Q(pk__in=named))
    return list(rows.order_by("-created_at")[: LIMIT + 1])


def _by_name(user: AnyUser, visible: Q, text: str) -> dict[str, Sequence[Any]]:
    """Stores and buckets with this name, and uploads and transfers with this key, which may be an `s3://` address."""
    if len(text) > MAX_TEXT:
        return {}
    named = named_in(text) if "://" in text else None
    bucket, key = (named.bucket, named.key) if named and not named.upload_id else ("", text)
    found: dict[str, Sequence[Any]] = {}
    if not bucket:
        found["stores"] = list(access.visible_stores(user).filter(name=text))
    if not (bucket and key):
        found["buckets"] = _buckets(user, Q(name=bucket or text))
    if key:
        in_bucket = {"bucket__name": bucket} if bucket else {}
        found["uploads"] = _uploads(visible, key=key, **in_bucket)
        found["transfers"] = _transfers_with_key(user, key, bucket)
    return found


def _buckets(user: AnyUser, wanted: Q) -> Sequence[BucketRow]:
    """Buckets of the inventory, and those that an administrator has entered."""
    found: dict[tuple[int, str], BucketRow] = {}
    for rows in (access.visible_inventory_buckets(user), access.visible_named_buckets(user)):
        for each in rows.filter(wanted).select_related("store").order_by("name", "store")[: LIMIT + 1]:
            found.setdefault((each.store_id, each.name), each)
    return sorted(found.values(), key=lambda each: (each.name, each.store.name))


def _transfers_with_key(user: AnyUser, key: str, bucket: str) -> Sequence[Transfer]:
    candidates = Transfer.objects.filter(key=key).order_by().values("pk")[:CANDIDATES]
    rows = access.visible_transfers(user).filter(pk__in=candidates)
    if bucket:
        rows = rows.filter(bucket=bucket)
    return list(rows.order_by("-created_at")[: LIMIT + 1])


def _entries(user: AnyUser, ids: Sequence[uuid.UUID], words: Sequence[str]) -> Sequence[AuditEntry]:
    """The newest entry about each transfer, operation or upload with these ids that only the audit log has."""
    rows = access.audit_entries_to_see(user).order_by("-id")
    found = [
        rows.filter(transfer_id__in=ids, transfer_id__isnull=False).first() if ids else None,
        rows.filter(operation_id__in=ids, operation_id__isnull=False).first() if ids else None,
        rows.filter(upload_id__in=words, upload_id__gt="").first() if words else None,
    ]
    return list({each.pk: each for each in found if each is not None}.values())


# --- Parts of keys, ids and names -------------------------------------------------------------------------------------


def _containing(user: AnyUser, text: str) -> Found:
    page = find_page(user, InventoryFilter(q=text), sort=Sort.KEY, largest_first=False, limit=LIMIT)
    newest = Transfer.objects.order_by("-created_at").values("pk")[:NEWEST]
    transfers = access.visible_transfers(user).filter(contains("key", text), pk__in=newest).order_by("-created_at")
    found: dict[str, Sequence[Any]] = {
        "stores": list(access.visible_stores(user).filter(contains("name", text))[: LIMIT + 1]),
        "buckets": _buckets(user, contains("name", text)),
        "uploads": page.uploads,
        "transfers": list(transfers[: LIMIT + 1]),
    }
    return _limited(found, has_more=page.next is not None)


def _limited(found: dict[str, Sequence[Any]], *, has_more: bool = False) -> Found:
    has_more = has_more or any(len(rows) > LIMIT for rows in found.values())
    return Found(**{name: tuple(rows[:LIMIT]) for name, rows in found.items()}, has_more=has_more)
