"""What ListParts says about an upload, for the inventory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from uploads.domain.verdicts import active_time
from uploads.models import InventoryUpload, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import ListedPart, PartsPage, UploadRef
from uploads.services.stores import pace
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.work.failures import error_code


@dataclass(frozen=True, slots=True)
class PartsFacts:
    """The parts of an upload, in numbers. Sizes are bytes, times the store's.

    `bytes` is None if the size of a part is not known, and so is `smallest_inner`, the smallest size of the parts
    before the last, also without such a part. `first_part_at` and `last_part_at` are None without parts, or if the
    time of a part is not known. `gaps` are the missing numbers below the highest. `abort_at` and `abort_rule` say when
    a lifecycle rule will abort the upload, where the store names it. `requests` were needed for it. `behind` is how far
    the store's clock was behind ours, by the Date of its response.
    """

    parts: int
    bytes: int | None
    first_part_at: datetime | None
    last_part_at: datetime | None
    highest: int
    gaps: int
    smallest_inner: int | None
    abort_at: datetime | None = None
    abort_rule: str = ""
    initiator: str = ""
    owner: str = ""
    storage_class: str = ""
    requests: int = 1
    behind: timedelta = timedelta(0)


TOLERABLE = timedelta(minutes=1)
"""Differences of the clocks that requests and whole seconds explain."""


def clock_behind(client: ObjectStoreClient) -> timedelta:
    """How far the store's clock is behind ours by its last response; zero if it is not, or not known."""
    behind = -client.clock_offset if client.knows_clock else timedelta(0)
    return behind if behind >= TOLERABLE else timedelta(0)


def read_facts(store: Store, bucket: str, ref: UploadRef) -> PartsFacts:
    """As `read_facts_in`, for one upload that no other request follows."""
    with pace.Slot(store, is_urgent=True) as slot:
        return read_facts_in(slot, bucket, ref)


def read_facts_in(
    slot: pace.Slot, bucket: str, ref: UploadRef, within: float = pace.LONGEST_WAIT_SECONDS
) -> PartsFacts:
    """ListParts of all pages, each in its turn in the slot. At most 20,000 parts are held.

    The first page waits for its turn so many seconds at most. Raises ObjectStoreError: NotSent with STORE_BUSY after
    that; Refused with NO_SUCH_UPLOAD or NO_SUCH_KEY if the upload has ended.
    """
    pages = _Pages()
    client = client_for(slot.store, ONCE)

    def turn() -> AbstractContextManager[None]:
        # Later pages wait longer: what was read would be lost.
        return slot.request(pace.LONGEST_WAIT_SECONDS if pages.count else within)

    parts = list(client.iter_parts(bucket, ref.key, ref.upload_id, turn=turn, seen=pages.add))
    return replace(_facts_of(parts, pages), behind=clock_behind(client))


def apply(row: InventoryUpload, facts: PartsFacts, now: datetime) -> None:
    """Note in the row what ListParts said at `now`. Does not save it."""
    if row.checked_at is not None and _has_changed(row, facts):
        # By our clock: stores whose dates are wrong cannot hide that a part arrived.
        row.changed_after = max(row.checked_at, row.changed_after or row.checked_at)
    row.behind_seconds = int(facts.behind.total_seconds())
    row.parts, row.bytes, row.gaps = facts.parts, facts.bytes, facts.gaps
    row.first_part_at, row.last_part_at = facts.first_part_at, facts.last_part_at
    row.highest_part, row.smallest_inner_bytes = facts.highest, facts.smallest_inner
    row.abort_at, row.abort_rule = facts.abort_at, facts.abort_rule[:MAX_RULE]
    row.initiator = row.initiator or facts.initiator[:MAX_NAME]
    row.owner = row.owner or facts.owner[:MAX_NAME]
    row.storage_class = row.storage_class or facts.storage_class[:MAX_RULE]
    set_active(row)
    row.checked_at, row.check_error = now, ""


def set_active(row: InventoryUpload) -> None:
    """Set when the upload was active last, from the other columns."""
    behind = timedelta(seconds=row.behind_seconds)
    row.active_at = active_time(row.started_at, row.last_part_at, behind=behind, changed_after=row.changed_after)


def _has_changed(row: InventoryUpload, facts: PartsFacts) -> bool:
    """Whether something arrived since the parts were read before. Parts that replace others count."""
    before = (row.parts, row.bytes, row.highest_part, row.first_part_at, row.last_part_at)
    return before != (facts.parts, facts.bytes, facts.highest, facts.first_part_at, facts.last_part_at)


def apply_error(row: InventoryUpload, error: ObjectStoreError) -> None:
    """Note that the parts could not be read. What was known of them stays. Does not save the row."""
    row.check_error = error_code(error)[:MAX_CODE]


MAX_NAME, MAX_RULE, MAX_CODE = 1024, 255, 100
"""Characters of the columns."""


@dataclass(slots=True)
class _Pages:
    """The first page of ListParts, and how many there were."""

    first: PartsPage | None = None
    count: int = 0

    def add(self, page: PartsPage) -> None:
        self.first = self.first or page
        self.count += 1


def _facts_of(parts: Sequence[ListedPart], pages: _Pages) -> PartsFacts:
    first = pages.first or PartsPage((), is_truncated=False, next_part_number_marker=0)
    highest = max((part.number for part in parts), default=0)
    dates = [part.last_modified for part in parts if part.last_modified is not None]
    sizes = [part.size for part in parts if part.size is not None]
    inner = [part.size for part in parts if part.size is not None and part.number != highest]
    is_dated, is_sized = len(dates) == len(parts), len(sizes) == len(parts)
    return PartsFacts(
        parts=len(parts),
        bytes=sum(sizes) if is_sized else None,
        first_part_at=min(dates, default=None) if is_dated else None,
        last_part_at=max(dates, default=None) if is_dated else None,
        highest=highest,
        gaps=max(0, highest) - sum(part.number > 0 for part in parts),
        smallest_inner=min(inner, default=None) if is_sized else None,
        abort_at=first.abort_date,
        abort_rule=first.abort_rule_id,
        initiator=first.initiator,
        owner=first.owner,
        storage_class=first.storage_class,
        requests=pages.count,
    )
