"""The changes of the lifecycle rules of a bucket, and what is known of the rules of all buckets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When

from uploads import access
from uploads.access import AnyUser
from uploads.models import InventorySum, LifecycleChange, LifecycleState, LifecycleVersion, Store
from uploads.objectstore.errors import ObjectStoreError, Reason


def changes_of(store: Store, bucket: str) -> QuerySet[LifecycleChange]:
    """Newest first."""
    return LifecycleChange.objects.filter(store=store, bucket=bucket).select_related("actor", "store")


def change_of(store: Store, bucket: str, change_id: uuid.UUID) -> LifecycleChange | None:
    return changes_of(store, bucket).filter(pk=change_id).first()


def version_of(store: Store, bucket: str, digest: str) -> LifecycleVersion | None:
    """The rules with this digest, if they are still kept."""
    return LifecycleVersion.objects.filter(store=store, bucket=bucket, digest=digest).first()


# --- All buckets ------------------------------------------------------------------------------------------------------


class Known(StrEnum):
    """What is known of the rules of a bucket. What cannot be read is never counted as a bucket without a rule.

    NONE, PART and ALL: its rules abort no unfinished uploads, those of some keys or dates, or all of them.
    """

    NONE = "without"
    PART = "part"
    ALL = "all"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    UNREAD = "unread"


Place = tuple[str, str]
"""The name of a store, and a bucket."""


@dataclass(frozen=True, slots=True)
class BucketRules:
    """A bucket of the list. `uploads` and `bytes` are those in progress, as far as the inventory knows them."""

    state: LifecycleState
    known: Known
    uploads: int
    bytes: int


def buckets_with_rules(
    user: AnyUser, store: str = "", known: Known | None = None, after: Place | None = None, limit: int = 100
) -> tuple[Sequence[BucketRules], Place | None]:
    """A page of buckets by store and name, and the place after which the next page begins. Three queries."""
    rows = _rows(user, store)
    if known is not None:
        rows = rows.filter(known=known.value)
    if after is not None:
        rows = rows.filter(Q(store__name__gt=after[0]) | Q(store__name=after[0], bucket__gt=after[1]))
    found = list(rows.select_related("store").order_by("store__name", "bucket")[: limit + 1])
    following = (found[limit - 1].store.name, found[limit - 1].bucket) if len(found) > limit else None
    return _with_sums(found[:limit]), following


def known_counts(user: AnyUser, store: str = "") -> Mapping[Known, int]:
    """How many buckets there are of each kind."""
    counted = _rows(user, store).order_by().values_list("known").annotate(n=Count("pk"))
    return {Known(known): n for known, n in counted}


def unknown_stores(user: AnyUser) -> Sequence[Store]:
    """The enabled stores of which no bucket is known: no scan has found one."""
    known = access.visible_lifecycle_states(user).order_by().values("store")
    return list(access.visible_stores(user).filter(enabled=True).exclude(pk__in=known).order_by("name"))


def _rows(user: AnyUser, store: str) -> QuerySet[Any]:
    """The buckets of enabled stores, each with what is `known`. Buckets that do not exist any more are left out."""
    rows = access.visible_lifecycle_states(user).filter(store__enabled=True)
    rows = rows.exclude(error_reason=Reason.NO_SUCH_BUCKET)
    if store:
        rows = rows.filter(store__name=store)
    without_rules = [each.pk for each in Store.objects.filter(enabled=True) if _has_no_rules(each)]
    names = {"all": Known.ALL, "part": Known.PART, "none": Known.NONE}
    cases = [
        When(Q(is_unsupported=True) | Q(store__in=without_rules), then=Value(Known.UNSUPPORTED.value)),
        When(~Q(error_code=""), then=Value(Known.UNREADABLE.value)),
        When(read_at__isnull=True, then=Value(Known.UNREAD.value)),
        *(When(coverage=coverage, then=Value(known.value)) for coverage, known in names.items()),
    ]
    return rows.annotate(known=Case(*cases, default=F("coverage"), output_field=CharField()))


def _has_no_rules(store: Store) -> bool:
    try:
        return store.profile.lifecycle == "none"
    except ObjectStoreError:
        return False  # A provider that this version does not know.


def _with_sums(states: Sequence[Any]) -> Sequence[BucketRules]:
    wanted = Q(pk__in=[])
    for state in states:
        wanted |= Q(bucket__store=state.store_id, bucket__name=state.bucket)
    sums = InventorySum.objects.filter(wanted) if states else InventorySum.objects.none()
    counted = sums.order_by().values_list("bucket__store", "bucket__name").annotate(n=Sum("uploads"), b=Sum("bytes"))
    found = {(store_id, name): (uploads, size) for store_id, name, uploads, size in counted}
    return [
        BucketRules(state, Known(state.known), *found.get((state.store_id, state.bucket), (0, 0))) for state in states
    ]
