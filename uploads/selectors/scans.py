"""Reading scans for pages: their progress, their buckets, and what could not be checked."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from uploads import access
from uploads.access import AnyUser
from uploads.domain.pace import rate_of
from uploads.domain.states import ACTIVE_ITEM_STATES, ItemState
from uploads.domain.verdicts import Verdict
from uploads.models import BucketScan, InventoryBucket, InventorySum, Scan, Store
from uploads.objectstore.errors import Reason
from uploads.problems import Code, RecordedError

ScanState = Literal["ordered", "running", "done", "partly-failed", "failed", "cancelled"]

MAX_ACTIVE = 100
"""Active scans that the first page lists."""


# --- Progress ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """How far a scan is, in the buckets that the user may see.

    `rate` is uploads per second: those that were listed, and after all were listed, those whose parts were read.
    `remaining_seconds` is not known (None) before all uploads are listed.
    """

    state: ScanState
    buckets: int = 0
    listed_buckets: int = 0
    failed_buckets: int = 0
    listed: int = 0
    to_check: int = 0
    checked: int = 0
    refused: int = 0
    requests: int = 0
    rate: float | None = None
    remaining_seconds: float | None = None

    @property
    def is_active(self) -> bool:
        return self.state in ("ordered", "running")

    @property
    def read(self) -> int:
        """The uploads whose parts were read, or could not be."""
        return self.checked + self.refused


SUMS = ("listed", "to_check", "checked", "refused", "requests")


def scan_progress(user: AnyUser, scans: Sequence[Scan], now: datetime) -> dict[uuid.UUID, ScanProgress]:
    """The progress of each scan of a page: one query."""
    sums = {f"sum_{name}": Coalesce(Sum(name), 0) for name in SUMS}
    rows = (
        access.visible_bucket_scans(user)
        .filter(scan__in=[scan.pk for scan in scans])
        .order_by()
        .values("scan_id")
        .annotate(
            buckets=Count("pk"),
            listed_buckets=Count("pk", filter=Q(state=ItemState.DONE)),
            failed_buckets=Count("pk", filter=Q(state=ItemState.FAILED)),
            **sums,
        )
    )
    found: dict[uuid.UUID, dict[str, Any]] = {row["scan_id"]: {**row} for row in rows}
    return {scan.pk: _progress(scan, found.get(scan.pk, {}), now) for scan in scans}


def _progress(scan: Scan, row: Mapping[str, int], now: datetime) -> ScanProgress:
    counts = {name: row.get(f"sum_{name}", 0) for name in SUMS}
    buckets = {name: row.get(name, 0) for name in ("buckets", "listed_buckets", "failed_buckets")}
    state = _state(scan, buckets["buckets"], buckets["failed_buckets"], counts["refused"])
    read = counts["checked"] + counts["refused"]
    end = scan.finished_at or now
    if scan.listed_at is None:
        rate, remaining = rate_of(counts["listed"], (end - scan.created_at).total_seconds()), None
    else:
        rate = rate_of(read, (end - scan.listed_at).total_seconds())
        remaining = max(0, counts["to_check"] - read) / rate if rate else None
    return ScanProgress(
        state, **buckets, **counts, rate=rate, remaining_seconds=None if scan.finished_at else remaining
    )


def _state(scan: Scan, buckets: int, failed_buckets: int, refused: int) -> ScanState:
    if scan.finished_at is None:
        return "ordered" if scan.buckets_listed_at is None else "running"
    if scan.error_code == Code.SCAN_CANCELLED:
        return "cancelled"
    if scan.error_code or (failed_buckets and failed_buckets == buckets):
        return "failed"
    return "partly-failed" if failed_buckets or refused else "done"


# --- Pages ------------------------------------------------------------------------------------------------------------

Cursor = tuple[datetime, uuid.UUID]


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Active scans, oldest first (on the first page only), then those that have ended, newest first."""

    scans: tuple[Scan, ...]
    older: Cursor | None = None


def find_scan_page(user: AnyUser, *, before: Cursor | None, limit: int) -> ScanPage:
    rows = access.scans_to_see(user)
    active = [] if before else list(rows.filter(finished_at__isnull=True).order_by("created_at", "pk")[:MAX_ACTIVE])
    ended = rows.filter(finished_at__isnull=False).order_by("-created_at", "-pk")
    if before is not None:
        at, pk = before
        ended = ended.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk))
    found = list(ended[: limit + 1])
    shown = found[:limit]
    older = (shown[-1].created_at, shown[-1].pk) if len(found) > limit else None
    return ScanPage((*active, *shown), older)


def buckets_of_scan(user: AnyUser, scan: Scan) -> QuerySet[BucketScan]:
    """Its buckets that the user may see: those with errors, then those at work, then the others by name."""
    order = Case(
        When(~Q(error_code=""), then=Value(0)),
        When(state__in=ACTIVE_ITEM_STATES, then=Value(1)),
        When(finished_at__isnull=True, then=Value(1)),
        default=Value(2),
    )
    rows = access.visible_bucket_scans(user).filter(scan=scan).select_related("bucket")
    return rows.order_by(order, "bucket__name", "prefix", "pk")


def last_scans(user: AnyUser, stores: Sequence[Store]) -> dict[int, Scan]:
    """The newest scan of each store, by the store's id."""
    rows = access.visible_scans(user)
    newer = Scan.objects.filter(store=OuterRef("store"), created_at__gt=OuterRef("created_at"))
    return {scan.store_id: scan for scan in rows.filter(~Exists(newer), store__in=[store.pk for store in stores])}


# --- What could not be checked ----------------------------------------------------------------------------------------

Why = Literal["never", "refused", "gone", "unavailable", "unjudged"]


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A store, a bucket, or uploads of a bucket, of which the inventory does not have the truth of today.

    `bucket` is '' for a whole store. `since` is the time of what the inventory has; None: it has nothing. `uploads` are
    those in progress whose parts the store does not let us read, for "unjudged".
    """

    why: Why
    store: Store
    bucket: str = ""
    since: datetime | None = None
    error: RecordedError | None = None
    uploads: int = 0


@dataclass(frozen=True, slots=True)
class NotChecked:
    """The first of what could not be checked, stores first; `more` is the number of the others."""

    rows: tuple[Unchecked, ...]
    more: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def total(self) -> int:
        return len(self.rows) + self.more


MAX_UNCHECKED = 50


def not_checked(user: AnyUser, stores: Sequence[Store] | None = None, *, limit: int = MAX_UNCHECKED) -> NotChecked:
    """What could not be checked, of all enabled stores or of these. A fixed number of queries."""
    seen = access.visible_stores(user).filter(enabled=True).order_by("name")
    if stores is not None:
        seen = seen.filter(pk__in=[store.pk for store in stores])
    shown = {store.pk: store for store in seen}
    rows = _stores_not_checked(user, shown)
    buckets = _buckets_not_checked(user, shown)
    unjudged = _unjudged(user, shown)
    total = len(rows) + buckets.count() + unjudged.count()
    if len(rows) < limit:
        rows += [_of_bucket(shown[each.store_id], each) for each in buckets[: limit - len(rows)]]
    if len(rows) < limit:
        rows += [_of_sum(shown, each) for each in unjudged[: limit - len(rows)]]
    return NotChecked(tuple(rows[:limit]), total - len(rows[:limit]))


def _stores_not_checked(user: AnyUser, stores: dict[int, Store]) -> list[Unchecked]:
    """Stores that were never scanned, and those whose last scan did not find their buckets."""
    newer = Scan.objects.filter(
        store=OuterRef("store"), places=[], finished_at__isnull=False, created_at__gt=OuterRef("created_at")
    )
    ended = Scan.objects.filter(store__in=stores, places=[], finished_at__isnull=False)
    last = {scan.store_id: scan for scan in ended.filter(~Exists(newer)).exclude(error_code=Code.SCAN_CANCELLED)}
    known = access.visible_inventory_buckets(user).filter(store__in=stores, listed_at__isnull=False)
    listed = set(known.order_by().values_list("store_id", flat=True).distinct())
    rows = []
    for pk, store in stores.items():
        error = last[pk].error if pk in last else None
        if error is not None and access.may_see_endpoint(user, store):
            rows.append(Unchecked(_why(error), store, since=_last_success(store), error=error))
        elif pk not in listed and (pk not in last or error is not None):
            rows.append(Unchecked("never", store))
    return rows


def _last_success(store: Store) -> datetime | None:
    good = Scan.objects.filter(store=store, places=[], finished_at__isnull=False, error_code="")
    return good.order_by("-created_at").values_list("created_at", flat=True).first()


def _why(error: RecordedError) -> Why:
    if error.reason == Reason.NO_SUCH_BUCKET:
        return "gone"
    return "refused" if error.reason in DENIALS else "unavailable"


DENIALS = frozenset(
    reason.value
    for reason in (Reason.PERMISSION, Reason.FORBIDDEN, Reason.CREDENTIALS, Reason.CREDENTIALS_EXPIRED, Reason.ACCOUNT)
)


def _buckets_not_checked(user: AnyUser, stores: dict[int, Store]) -> QuerySet[InventoryBucket]:
    wrong = ~Q(error_code="") | Q(gone_at__isnull=False) | Q(listed_at__isnull=True)
    return access.visible_inventory_buckets(user).filter(wrong, store__in=stores).order_by("store__name", "name")


def _of_bucket(store: Store, bucket: InventoryBucket) -> Unchecked:
    error = bucket.error
    if bucket.gone_at is not None:
        return Unchecked("gone", store, bucket.name, bucket.gone_at, error)
    why: Why = _why(error) if error is not None else "never"
    return Unchecked(why, store, bucket.name, bucket.listed_at, error)


def _unjudged(user: AnyUser, stores: dict[int, Store]) -> QuerySet[Any, Any]:
    """Uploads that were listed and whose parts may not be read, by bucket; none under a grant for a prefix."""
    visible = access.visible_inventory_sums(user)
    rows = InventorySum.objects.none() if visible is None else visible
    unjudged = rows.filter(bucket__store__in=stores, verdict=Verdict.UNJUDGED.value, uploads__gt=0)
    grouped = unjudged.order_by("bucket__store__name", "bucket__name")
    return grouped.values("bucket__store_id", "bucket__name", "bucket__listed_at").annotate(count=Sum("uploads"))


def _of_sum(stores: dict[int, Store], row: dict[str, Any]) -> Unchecked:
    store = stores[row["bucket__store_id"]]
    return Unchecked("unjudged", store, row["bucket__name"], row["bucket__listed_at"], uploads=row["count"])
